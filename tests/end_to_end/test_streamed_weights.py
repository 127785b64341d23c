"""A core that streams its weights, through the command line: compile, rtl, cosim, estimate."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparta_hw.cli import main
from sparta_hw.program import Program
from sparta_quant.export import export_onnx, export_vectors
from sparta_quant.random_network import random_network, random_spikes
from tests.sim.test_streamed_weights import CORE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of PyTorch, compiled for the core, with its vectors."""
    place = tmp_path_factory.mktemp("streamed")
    network = random_network(7)
    export_onnx(network, place / "model.onnx")
    spikes = random_spikes(network.config, 2, 7)
    export_vectors(network, spikes, np.zeros(len(spikes), np.int64), place / "vectors.npz")
    (place / "core.json").write_text(CORE.to_json())
    arguments = ["compile", str(place / "model.onnx"), "--core", str(place / "core.json"), "-o", str(place)]
    assert main(arguments) == 0
    return place


def command(folder: Path, name: str, *more: str) -> int:
    inputs = ["--model", str(folder / "model.onnx"), "--vectors", str(folder / "vectors.npz")]
    return main([name, str(folder / "program.bin"), *inputs, "-o", str(folder), *more])


def test_verilog_has_the_port(folder: Path) -> None:
    assert main(["rtl", str(folder / "program.bin"), "-o", str(folder)]) == 0
    for name in ("core.v", "top.v"):
        assert "output [31:0] m_axi__araddr;" in (folder / name).read_text()
    assert main(["rtl", "tiny", "-o", str(folder / "tiny")]) == 0
    assert "m_axi" not in (folder / "tiny" / "core.v").read_text()


@pytest.mark.parametrize("more", [[], ["--memory-latency", "900"], ["--memory-stalls", "0.8"]], ids=" ".join)
def test_hardware_equals_pytorch(folder: Path, more: list[str]) -> None:
    assert command(folder, "cosim", "--images", str(folder), *more) == 0
    section = json.loads((folder / "cosim.json").read_text())
    assert section["mismatches"] == 0
    assert section["cycles_predicted_exactly"] == ("--memory-stalls" not in more)
    assert section["memory"]["latency"] == (900 if "900" in more else 30)


def test_one_flipped_bit_of_the_image_is_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = Program.load(folder / "program.bin")
    program.write_images(folder / "broken")
    image = bytearray((folder / "broken" / "weights.bin").read_bytes())
    image[program.config.header_rows * program.config.lanes + 1] ^= 0x40
    (folder / "broken" / "weights.bin").write_bytes(image)
    assert command(folder, "cosim", "--images", str(folder / "broken")) == 1
    assert "expected" in capsys.readouterr().err


def test_estimate_states_the_bandwidth(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(folder, "estimate") == 0
    out = capsys.readouterr().out
    assert "streamed weights: 10,900 bytes in" in out
    assert "needed " in out
    weights = json.loads((folder / "estimate.json").read_text())["runs"][0]["weights"]
    assert weights["mean"] <= weights["needed"]
    assert weights["stall_cycles_mean"] == 0
    assert command(folder, "estimate", "--memory-latency", "9000") == 0
    weights = json.loads((folder / "estimate.json").read_text())["runs"][0]["weights"]
    assert weights["stall_cycles_mean"] > 0


def test_a_memory_that_cannot_be_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(folder, "cosim", "--memory-stalls", "1.5") == 2
    assert "the stall probability 0 to 0.99" in capsys.readouterr().err


def test_a_ring_that_is_too_small_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "small.json").write_text(replace(CORE, weight_rows=64).to_json())
    arguments = ["compile", str(folder / "model.onnx"), "--core", str(folder / "small.json")]
    assert main([*arguments, "-o", str(folder / "small")]) == 2
    assert "use a core with weight_rows of at least" in capsys.readouterr().err
