from dataclasses import replace

import pytest

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_rtl.generate import core_verilog, unit_ports, unit_verilog
from sparta_rtl.topk import TopKParams
from sparta_rtl.topk_sorter import TopKSorter


def test_a_stream_that_is_always_ready_has_no_such_port() -> None:
    unit = TopKSorter(TopKParams(tokens=8, cells=4, key_bits=4))
    assert "i__valid" in unit_ports(unit)
    assert "i__ready" not in unit_ports(unit)
    assert "module sorter(" in unit_verilog(unit, "sorter")


def test_outputs_that_nothing_drives_stay_outputs() -> None:
    """The trace of a core without attention."""
    assert "output [7:0] trace__attention__value;" in core_verilog(NAMED_CONFIGS["mlp"])


CORES = {
    "sorter": NAMED_CONFIGS["tiny"],
    "radix": replace(NAMED_CONFIGS["tiny"], topk="radix"),
    "streamed weights": replace(NAMED_CONFIGS["tiny"], stream_bits=32),
    "shared fire stage": NAMED_CONFIGS["mlp"],
}


@pytest.mark.parametrize("core", CORES.values(), ids=CORES)
def test_every_declared_signal_has_its_name(core: CoreConfig) -> None:
    """Amaranth calls those that it finds no name for ``$signal`` and ``$like``."""
    verilog = core_verilog(core)
    assert "$signal" not in verilog
    assert "$like" not in verilog
