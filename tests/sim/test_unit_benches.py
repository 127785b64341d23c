"""Every unit in its cocotb bench on Verilator, and benches that notice when a unit is wrong."""

import re
from dataclasses import replace

import pytest

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.errors import MismatchError, SpartaError
from sparta_sim.benches.runner import run_bench
from sparta_sim.benches.units import UNITS

pytestmark = pytest.mark.slow

TINY = NAMED_CONFIGS["tiny"]
STREAM = replace(TINY, stream_bits=32, weight_rows=64)
PLAIN = replace(
    TINY, lanes=16, steps=1, max_steps=12, fire_share=8, weight_bits=6, attention=False, counts=True
)
CORES = {"weight_stream": STREAM, "shared_fire": PLAIN, "counts": PLAIN}


@pytest.mark.parametrize("unit", UNITS)
def test_unit_agrees_with_its_reference(unit: str) -> None:
    run_bench(unit, CORES.get(unit, TINY), stalls=(0.0, 0.5))


@pytest.mark.parametrize(("lanes", "bits"), [(16, 64), (64, 128), (64, 512)])
def test_weights_stream_through_ports_of_other_widths(lanes: int, bits: int) -> None:
    core = replace(TINY, lanes=lanes, line=lanes, stream_bits=bits, weight_rows=128)
    run_bench("weight_stream", core, stalls=(0.5, 0.8))


def test_rows_that_count_before_they_came_fail_their_bench() -> None:
    """A row counts with its first beat: an underrun that nobody waits for."""

    def too_early(text: str) -> str:
        assert text.count("ring__filled + row;") == 1
        return text.replace("ring__filled + row;", "ring__filled + (axi__rvalid & ~row);")

    core = replace(TINY, lanes=16, line=16, stream_bits=64, weight_rows=64)
    with pytest.raises(
        MismatchError, match=r"(?s)bench of weight_stream: \d of 3 tests failed:.*of the stream"
    ):
        run_bench("weight_stream", core, stalls=(0.8,), alter=too_early)


@pytest.mark.parametrize("unit", ["topk", "rank"])
def test_radix_selection_agrees_with_its_reference(unit: str) -> None:
    run_bench(unit, replace(TINY, name="radix", topk="radix"), stalls=(0.0, 0.5))


def test_a_unit_that_is_wrong_fails_its_bench() -> None:
    """Equal scores displace each other: the comparison of the sorter's cells is no longer strict."""

    def not_strict(text: str) -> str:
        altered, places = re.subn(r" < ", " <= ", text)
        assert places >= TINY.max_topk
        return altered

    with pytest.raises(MismatchError, match=r"(?s)bench of topk: 2 of 2 tests failed:.*AssertionError"):
        run_bench("topk", TINY, alter=not_strict)


def test_verilog_that_does_not_build_is_an_error() -> None:
    with pytest.raises(SpartaError, match=r"(?s)bench of results: building its simulation failed:.*%Error"):
        run_bench("results", TINY, alter=lambda text: text.replace("endmodule", "", 1))
