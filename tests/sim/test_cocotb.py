"""cocotb on Verilator: the core behind its host port, as a user's bench would drive it."""

import re
from pathlib import Path

import numpy as np
import pytest

from sparta_rtl.generate import core_verilog
from sparta_sim.benches.runner import run_cocotb

pytestmark = pytest.mark.slow


@pytest.fixture
def images(case, tmp_path: Path) -> dict[str, str]:
    """Program file and vectors for the bench's process."""
    case.program.save(tmp_path / "program.bin")
    vectors = {f"k{k}": case.expected(k)["logits"][0] for k in (5, 1, 16)}
    np.savez(tmp_path / "vectors.npz", words=case.program.pack_input(case.spikes[0]), **vectors)
    return {
        "BENCH_PROGRAM": str(tmp_path / "program.bin"),
        "BENCH_VECTORS": str(tmp_path / "vectors.npz"),
    }


@pytest.mark.parametrize("stall", [0, 0.4])
def test_core(case, images, stall: float) -> None:
    text = core_verilog(case.program.config)
    header = re.search(r"^module sparta_core\(([^)]*)\)", text, re.MULTILINE)[1]
    ports = re.findall(r"\w+", header)
    environment = images | {"BENCH_STALL": str(stall)}
    assert run_cocotb("sparta_core", text, ports, "tests.sim.bench_core", environment) == 4
