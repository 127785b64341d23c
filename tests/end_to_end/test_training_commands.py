"""Train, evaluate and experiment from the command line, on small N-MNIST files that the tests write."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sparta_hw.cli import main

pytestmark = pytest.mark.slow

MILLISECONDS = 320


def write_packed(path: Path, samples: int, seed: int) -> None:
    """Vertical or horizontal bars that move: two classes anyone can tell apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(samples) % 2
    parts, per_ms = [], np.zeros((samples, MILLISECONDS), np.uint16)
    for n, label in enumerate(labels):
        time = np.sort(rng.integers(0, 300, 900))
        along, across = rng.integers(4, 30, 900), 8 + time * 18 // 300 + rng.integers(0, 3, 900)
        x, y = (across, along) if label else (along, across)
        parts.append((rng.integers(2, size=900) << 12 | y << 6 | x).astype(np.uint16))
        per_ms[n] = np.bincount(time, minlength=MILLISECONDS)
    offset = np.cumsum([0, *(len(part) for part in parts)])
    np.savez(path, xyp=np.concatenate(parts), per_ms=per_ms, offset=offset, y=labels)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_packed(folder / "bars_train.npz", 40, 0)
    write_packed(folder / "bars_test.npz", 12, 1)
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    arguments = ["--epochs", "3", "--finetune-epochs", "1", "--batch", "8"]
    assert main(["train", "nmnist", "--data", str(data), *arguments, "-o", str(folder)]) == 0
    return folder / "network.pt"


def test_evaluate_says_what_training_said(
    data: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(trained), str(data), "--rtl", "1", "-o", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "nmnist on N-MNIST, test: 12 samples, 2 classes" in printed
    results = json.loads((tmp_path / "evaluation.json").read_text())
    assert results["integer"]["accuracy"] == results["quantised"]["accuracy"]
    assert results["integer"]["mean_k"] == results["quantised"]["mean_k"]
    for name, rate in results["quantised"]["firing_rates"].items():
        assert results["integer"]["firing_rates"][name] == pytest.approx(rate, abs=1e-6)
    assert results["rtl"]["mismatches"] == 0
    assert results["rtl"]["cycles_predicted_exactly"]


def test_evaluate_on_one_split_in_one_file(
    data: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(trained), str(data / "bars_train.npz"), "--limit", "5", "-k", "8"]) == 0
    assert "5 samples" in capsys.readouterr().out


def test_evaluate_refuses_data_of_another_shape(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(trained), "digits"]) == 2
    assert "'digits' does not fit network 'nmnist': its samples are 2x16x16, the network takes 2x34x34" in (
        capsys.readouterr().err
    )


def test_unknown_network_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "mnist", "-o", str(tmp_path)]) == 2
    assert "no network 'mnist': name one of digits, mlp, nmnist, gesture" in capsys.readouterr().err
    text = tmp_path / "text.json"
    text.write_text('{"name": "mine", "depth": 3}')
    assert main(["train", str(text), "-o", str(tmp_path)]) == 2
    assert "not the configuration of a network" in capsys.readouterr().err


def test_a_network_of_a_file_trains(data: Path, trained: Path, tmp_path: Path) -> None:
    plain = json.loads((trained.parent / "network.json").read_text())
    plain |= {"name": "mine", "heads": 1}
    (tmp_path / "mine.json").write_text(json.dumps(plain))
    arguments = ["--epochs", "1", "--finetune-epochs", "1", "--limit", "8", "--batch", "8"]
    command = ["train", str(tmp_path / "mine.json"), "--data", str(data), *arguments]
    assert main([*command, "-o", str(tmp_path / "trained")]) == 0
    assert json.loads((tmp_path / "trained" / "network.json").read_text()) == plain


def test_experiment_writes_tables_and_goes_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--tables", "3", "--epochs", "1", "--finetune-epochs", "1", "--train-samples", "16"]
    command = ["experiment", str(data), *arguments, "--test-samples", "6", "-o", str(tmp_path)]
    assert main(command) == 0
    page = (tmp_path / "experiment.md").read_text()
    assert "## Table 3: sparsity policy" in page
    assert (tmp_path / "table3.png").exists()
    assert (tmp_path / "figure3.png").exists()
    results = json.loads((tmp_path / "experiment.json").read_text())
    assert len(results) == 4
    networks = sorted(tmp_path.glob("trials/*/network.pt"))
    written = [path.stat().st_mtime_ns for path in networks]
    (networks[0].parent / "outcome.json").unlink()
    assert main(command) == 0
    assert [path.stat().st_mtime_ns for path in networks] == written
    assert json.loads((tmp_path / "experiment.json").read_text()) == results


def test_two_processes_share_a_training(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sparta_hw.cli", "train", "digits", "--devices", "2", "--limit", "64"]
    arguments = ["--epochs", "1", "--finetune-epochs", "1", "-o", str(tmp_path)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("test accuracy") == 1
    assert (tmp_path / "network.pt").exists()
