"""The committed checkpoint classifies as recorded; damaged ones are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sparta_hw.errors import InputFileError
from sparta_quant.checkpoint import DIGITS_CHECKPOINT, Measured, load_checkpoint, save_checkpoint
from sparta_quant.data import Dataset
from sparta_quant.evaluate import evaluate
from sparta_quant.named import NAMED_NETWORKS
from sparta_quant.network import SpartaNetwork
from sparta_quant.random_network import random_network


@pytest.mark.slow
def test_recorded_accuracy_is_reproduced(trained: tuple[SpartaNetwork, Measured], digits: Dataset) -> None:
    network, measured = trained
    assert network.config == NAMED_NETWORKS["digits"]
    assert evaluate(network, digits).accuracy == measured.accuracy
    assert {
        k: evaluate(network, digits, k).accuracy for k in network.config.k_levels
    } == measured.accuracy_of_k


def test_accuracy_meets_the_goal(trained: tuple[SpartaNetwork, Measured]) -> None:
    measured = trained[1]
    assert measured.accuracy >= 0.95
    assert abs(measured.accuracy - measured.float_accuracy) <= 0.01


def test_round_trip(trained: tuple[SpartaNetwork, Measured], tmp_path: Path) -> None:
    path = tmp_path / "network.pt"
    save_checkpoint(*trained, path)
    network, measured = load_checkpoint(path)
    assert measured == trained[1]
    first, second = trained[0].integers(), network.integers()
    np.testing.assert_array_equal(first.spiking[1].conv.weight, second.spiking[1].conv.weight)
    np.testing.assert_array_equal(first.classifier.bias, second.classifier.bias)
    np.testing.assert_array_equal(first.scores[0].msp, second.scores[0].msp)
    assert network.deployed


def same(first: Any, second: Any) -> bool:
    """Whether two trees of integers are equal, arrays and all."""
    if isinstance(first, np.ndarray):
        return (
            isinstance(second, np.ndarray) and first.dtype == second.dtype and np.array_equal(first, second)
        )
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if type(first).__name__.endswith("Integers"):
        return type(first) is type(second) and all(map(same, vars(first).values(), vars(second).values()))
    return bool(first == second)


@pytest.mark.parametrize("seed", range(6))
def test_round_trip_keeps_every_integer(
    trained: tuple[SpartaNetwork, Measured], tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "network.pt"
    network = random_network(seed)
    save_checkpoint(network, trained[1], path)
    read = load_checkpoint(path)[0].integers()
    assert same(network.integers(), read)
    read.spiking[0].conv.weight[0, 0, 0, 0] += 1
    assert not same(network.integers(), read)


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "network.pt"
    path.write_bytes(DIGITS_CHECKPOINT.read_bytes()[:keep])
    with pytest.raises(InputFileError, match=r"network\.pt: not a network checkpoint, or damaged"):
        load_checkpoint(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        load_checkpoint(tmp_path / "network.pt")


@pytest.mark.parametrize("content", [{"format": "something else"}, {}, [1]])
def test_other_files_are_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "network.pt"
    torch.save(content, path)
    with pytest.raises(InputFileError, match="not a network checkpoint"):
        load_checkpoint(path)
