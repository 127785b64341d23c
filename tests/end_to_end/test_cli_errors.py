"""A user's mistake costs one clear line, exit code 2, and no file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparta_hw.cli import main
from sparta_hw.config import NAMED_CONFIGS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sparta_quant.export import export_onnx, export_vectors
    from sparta_quant.random_network import random_network, random_spikes

    folder = tmp_path_factory.mktemp("model")
    network = random_network(2)
    export_onnx(network, folder / "model.onnx")
    spikes = random_spikes(network.config, 1, 0)
    export_vectors(network, spikes, np.zeros(1, np.int64), folder / "vectors.npz")
    return folder / "model.onnx"


@pytest.fixture(scope="module")
def program(model: Path) -> Path:
    assert main(["compile", str(model), "--core", "tiny", "-o", str(model.parent)]) == 0
    return model.parent / "program.bin"


def error_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a failing command prints."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr().err
    assert printed.endswith("\n")
    assert "Traceback" not in printed
    return printed


def test_a_truncated_model(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = tmp_path / "half.onnx"
    half.write_bytes(model.read_bytes()[: model.stat().st_size // 2])
    assert "half.onnx" in error_of(capsys, "compile", half, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_onnx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "notes.onnx"
    text.write_text("not a model")
    assert "notes.onnx" in error_of(capsys, "compile", text, "-o", tmp_path / "out")


def test_a_missing_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such file" in error_of(capsys, "compile", tmp_path / "none.onnx", "-o", tmp_path / "out")


def test_an_unknown_core(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = error_of(capsys, "compile", model, "--core", "huge", "-o", tmp_path / "out")
    assert "no core configuration 'huge'" in message
    assert "digits" in message


def test_a_network_larger_than_the_core(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = tmp_path / "small.json"
    small.write_text(replace(NAMED_CONFIGS["tiny"], weight_rows=8).to_json())
    message = error_of(capsys, "compile", model, "--core", small, "-o", tmp_path / "out")
    assert "weight_rows" in message
    assert "8" in message
    assert not (tmp_path / "out" / "program.bin").exists()


def test_a_core_that_contradicts_itself(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text(NAMED_CONFIGS["tiny"].to_json().replace('"lanes": 4', '"lanes": 3'))
    message = error_of(capsys, "compile", model, "--core", broken, "-o", tmp_path / "out")
    assert "lanes must be a power of two, not 3" in message


def test_a_program_for_another_core(
    program: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (
        "cosim",
        program,
        "--model",
        model,
        "--random",
        1,
        "--core",
        "digits",
        "-o",
        tmp_path / "out",
    )
    message = error_of(capsys, *arguments)
    assert "lanes 4 (core has 16)" in message
    assert "compile it again" in message


def test_a_truncated_program(
    program: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = tmp_path / "half.bin"
    half.write_bytes(program.read_bytes()[:-40])
    message = error_of(capsys, "estimate", half, "--model", model, "--random", 1, "-o", tmp_path / "out")
    assert "half.bin" in message


def test_a_k_beyond_the_tokens(
    program: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("estimate", program, "--model", model, "--random", 1, "-k", 999, "-o", tmp_path / "out")
    assert "-k 999" in error_of(capsys, *arguments)


def test_neither_vectors_nor_random_samples(
    program: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = error_of(capsys, "estimate", program, "--model", model, "-o", tmp_path / "out")
    assert "--vectors" in message
    assert "--random" in message


def test_damaged_vectors(
    program: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes((model.parent / "vectors.npz").read_bytes()[:200])
    message = error_of(
        capsys, "estimate", program, "--model", model, "--vectors", damaged, "-o", tmp_path / "out"
    )
    assert "damaged.npz" in message


def test_a_broken_memory_image(
    program: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "program.mem").write_text("xyz\n")
    arguments = (
        "cosim",
        program,
        "--model",
        model,
        "--random",
        1,
        "--images",
        tmp_path,
        "-o",
        tmp_path / "out",
    )
    assert "program.mem" in error_of(capsys, *arguments)


def test_a_report_of_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing to report" in error_of(capsys, "report", tmp_path)


def test_an_output_that_is_a_file(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be made the output folder" in error_of(
        capsys, "compile", model, "--core", "tiny", "-o", tmp_path / "file"
    )


def test_a_checkpoint_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "network.pt").write_bytes(b"nothing")
    assert "network.pt" in error_of(capsys, "export", tmp_path / "network.pt", "-o", tmp_path / "out")
