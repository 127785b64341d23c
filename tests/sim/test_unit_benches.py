"""Every unit in its cocotb bench on Verilator, and benches that notice when a unit is wrong."""

import re

import pytest

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.errors import MismatchError, SpartaError
from sparta_sim.benches.runner import run_bench
from sparta_sim.benches.units import UNITS

pytestmark = pytest.mark.slow

TINY = NAMED_CONFIGS["tiny"]


@pytest.mark.parametrize("unit", UNITS)
def test_unit_agrees_with_its_reference(unit: str) -> None:
    run_bench(unit, TINY, stalls=(0.0, 0.5))


def test_a_unit_that_is_wrong_fails_its_bench() -> None:
    """Equal scores displace each other: the comparison of the sorter's cells is no longer strict."""

    def not_strict(text: str) -> str:
        altered, places = re.subn(r" > ", " >= ", text)
        assert places >= TINY.max_topk
        return altered

    with pytest.raises(MismatchError, match=r"(?s)bench of topk: 2 of 2 tests failed:.*AssertionError"):
        run_bench("topk", TINY, alter=not_strict)


def test_verilog_that_does_not_build_is_an_error() -> None:
    with pytest.raises(SpartaError, match=r"(?s)bench of results: building its simulation failed:.*%Error"):
        run_bench("results", TINY, alter=lambda text: text.replace("endmodule", "", 1))
