"""cocotb on Verilator: the core behind its host port, as a user's bench would drive it."""

import os
from pathlib import Path

import numpy as np
import pytest
from cocotb_tools.runner import get_results, get_runner

from sparta_rtl.generate import core_verilog
from sparta_sim.cache import cache_dir, content_key, locked
from sparta_sim.verilator import make_flags, verilator_bin

pytestmark = pytest.mark.slow


def run_bench(
    monkeypatch: pytest.MonkeyPatch, folder: Path, text: str, top: str, module: str, **env: object
) -> int:
    """Build ``text`` (once for a content), run the bench; the number of cocotb tests, all passed."""
    monkeypatch.setenv("PATH", f"{verilator_bin()}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("MAKEFLAGS", " ".join(make_flags()))
    build = cache_dir() / "cocotb" / content_key([text, top])
    build.mkdir(parents=True, exist_ok=True)
    source = build / f"{top}.v"
    runner = get_runner("verilator")
    with locked(build):  # workers of one test run share the folder
        if not source.exists():
            source.write_text(text)
        runner.build(
            sources=[source],
            hdl_toplevel=top,
            build_dir=build,
            build_args=["-Wno-fatal", "-Wno-lint", "-Wno-WIDTH"],
            timescale=("1ns", "1ps"),
        )
    results = runner.test(
        hdl_toplevel=top, test_module=f"tests.sim.{module}", build_dir=build, test_dir=folder,
        extra_env={name: str(value) for name, value in env.items()},
    )  # fmt: skip
    tests, failed = get_results(results)
    assert failed == 0
    return tests


@pytest.fixture
def images(case, tmp_path: Path) -> dict[str, Path]:
    """Program file and vectors for the bench's process."""
    case.program.save(tmp_path / "program.bin")
    vectors = {f"k{k}": case.expected(k)["logits"][0] for k in (5, 1, 16)}
    np.savez(tmp_path / "vectors.npz", words=case.program.pack_input(case.spikes[0]), **vectors)
    return {"BENCH_PROGRAM": tmp_path / "program.bin", "BENCH_VECTORS": tmp_path / "vectors.npz"}


@pytest.mark.parametrize("stall", [0, 0.4])
def test_core(case, images, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stall: float) -> None:
    text = core_verilog(case.program.config)
    tests = run_bench(monkeypatch, tmp_path, text, "sparta_core", "bench_core", BENCH_STALL=stall, **images)
    assert tests == 4
