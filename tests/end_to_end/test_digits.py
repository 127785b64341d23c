"""The default network, from its checkpoint to a report, as ``make rtl`` does it but with fewer samples."""

import json
from pathlib import Path

import onnx
import pytest

from sparta_hw.cli import main
from sparta_hw.witness import run_onnx

pytestmark = pytest.mark.slow

SAMPLES = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the steps write."""
    from sparta_quant.checkpoint import DIGITS_CHECKPOINT

    out = tmp_path_factory.mktemp("digits")
    program, model = str(out / "program.bin"), str(out / "model.onnx")
    assert main(["export", str(DIGITS_CHECKPOINT), "--samples", str(SAMPLES), "-o", str(out)]) == 0
    assert main(["compile", model, "--core", "digits", "-o", str(out)]) == 0
    assert main(["rtl", program, "-o", str(out)]) == 0
    samples = ["--model", model, "--vectors", *map(str, sorted((out / "vectors").glob("*.npz")))]
    verilog = ["--verilog", str(out / "core.v"), "--images", str(out)]
    assert main(["cosim", program, *verilog, *samples, "-o", str(out)]) == 0
    assert main(["estimate", program, *samples, "-o", str(out)]) == 0
    assert main(["report", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def test_accuracy_is_within_a_point_of_float(report: dict) -> None:
    training = report["training"]
    assert training["reproduced_accuracy"] == training["accuracy"] >= 0.95
    assert training["accuracy"] >= training["float_accuracy"] - 0.01


def test_every_sparsity_level_is_bit_exact_and_predicted(report: dict) -> None:
    cosim = report["cosim"]
    assert [run["k"] for run in cosim["runs"]] == [64, 48, 32, 22, 16]
    assert cosim["mismatches"] == 0
    assert cosim["inferences"] == 5 * SAMPLES
    assert cosim["cycles_predicted_exactly"]
    for run in cosim["runs"]:
        for layer in run["layers"]:
            assert layer["measured"] == layer["predicted"]


def test_attention_cycles_follow_k_squared(report: dict) -> None:
    attention = report["cosim"]["attention"]
    assert len(attention["points"]) >= 5
    assert attention["fit"]["r2"] > 0.999
    assert attention["fit"]["a"] * 64**2 > 10 * attention["fit"]["b"] * 64


def test_energy_falls_with_sparsity(report: dict) -> None:
    energies = [run["energy"]["total_pj"] for run in report["estimate"]["runs"]]
    assert energies == sorted(energies, reverse=True)


def test_the_model_is_valid_and_runs_in_plain_onnx_runtime(folder: Path) -> None:
    from sparta_quant.data import load_digits

    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    test = load_digits("test")
    logits = run_onnx(folder / "model.onnx", test.spikes)["logits"]
    assert (logits.argmax(axis=1) == test.labels).mean() >= 0.95
