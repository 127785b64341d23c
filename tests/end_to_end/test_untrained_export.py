from pathlib import Path

import pytest

from sparta_hw.cli import main


def test_a_named_network_costs_can_be_known_before_training(tmp_path: Path) -> None:
    assert main(["export", "digits", "--samples", "2", "-o", str(tmp_path)]) == 0
    model = str(tmp_path / "model.onnx")
    assert main(["compile", model, "--core", "digits", "-o", str(tmp_path)]) == 0
    vectors = sorted(map(str, (tmp_path / "vectors").glob("*.npz")))
    estimate = ["estimate", str(tmp_path / "program.bin"), "--model", model, "--vectors", *vectors]
    assert main([*estimate, "-o", str(tmp_path)]) == 0
    assert not (tmp_path / "training.json").exists()


def test_an_unknown_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "imagenet", "-o", str(tmp_path / "out")]) != 0
    assert "no network 'imagenet': name one of digits" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
