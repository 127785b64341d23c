"""Training continues where it was interrupted, and learns."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from sparta_hw.errors import ConfigError
from sparta_quant.checkpoint import load_checkpoint, load_float_network
from sparta_quant.config import SpartaConfig
from sparta_quant.data import Dataset, load_digits
from sparta_quant.evaluate import evaluate
from sparta_quant.network import SpartaNetwork
from sparta_quant.training import HISTORY_FILE, NETWORK_FILE, STATE_FILE, TrainSettings, train
from sparta_quant.training.trainer import Trainer

SETTINGS = TrainSettings(epochs=2, finetune_epochs=2, batch=32)
HALF = replace(SETTINGS, precision="bfloat16", own_k=0.8)


def one_process() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture(scope="module")
def few() -> Dataset:
    return load_digits("train").head(128)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), [("tiny_config", SETTINGS), ("full_config", HALF)])
@pytest.mark.parametrize("interrupted_after", [1, 2, 3])
def test_resumed_training_equals_an_uninterrupted_one(
    request: pytest.FixtureRequest,
    name: str,
    settings: TrainSettings,
    few: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupted_after: int,
) -> None:
    config: SpartaConfig = request.getfixturevalue(name)
    whole, measured = train(config, tmp_path / "whole", few, few, settings, progress=False)

    run_epoch = Trainer.run_epoch

    def interrupted(trainer: Trainer) -> dict[str, float]:
        if trainer.epoch == interrupted_after:
            raise KeyboardInterrupt
        return run_epoch(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "parts", few, few, settings, progress=False)
    torch.manual_seed(interrupted_after)
    resumed, measured_again = train(config, tmp_path / "parts", few, few, settings, progress=False)
    assert measured_again == measured
    np.testing.assert_array_equal(
        resumed.integers().spiking[0].conv.weight, whole.integers().spiking[0].conv.weight
    )
    np.testing.assert_array_equal(resumed.integers().classifier.bias, whole.integers().classifier.bias)


@pytest.mark.slow
def test_training_learns_and_writes_what_it_returns(
    tiny_config: SpartaConfig, few: Dataset, tmp_path: Path
) -> None:
    settings = TrainSettings(epochs=15, finetune_epochs=5, batch=16)
    _, measured = train(tiny_config, tmp_path, few, few, settings, progress=False)
    network, recorded = load_checkpoint(tmp_path / NETWORK_FILE)
    assert recorded == measured
    assert evaluate(network, few).accuracy == measured.accuracy
    assert measured.accuracy > 0.3
    assert evaluate(load_float_network(tmp_path / NETWORK_FILE), few).accuracy == measured.float_accuracy
    history = json.loads((tmp_path / HISTORY_FILE).read_text())
    assert [entry["epoch"] for entry in history] == list(range(1, 21))
    assert history[-1]["loss"] < history[0]["loss"]


@pytest.mark.slow
def test_each_sample_keeps_its_own_k_near_the_target(
    full_config: SpartaConfig, few: Dataset, tmp_path: Path
) -> None:
    settings = TrainSettings(epochs=4, finetune_epochs=1, batch=16)
    network, measured = train(full_config, tmp_path, few, few, settings, progress=False)
    assert 0.2 < measured.mean_k / full_config.tokens < 0.5
    assert isinstance(network, SpartaNetwork)
    assert network.integers().feedback is not None


@pytest.mark.slow
def test_other_settings_are_refused(tiny_config: SpartaConfig, few: Dataset, tmp_path: Path) -> None:
    settings = TrainSettings(epochs=1, finetune_epochs=0)
    train(tiny_config, tmp_path, few, few, settings, progress=False)
    with pytest.raises(
        ConfigError, match=rf"{STATE_FILE}: a training of another network or with other settings"
    ):
        train(tiny_config, tmp_path, few, few, SETTINGS, progress=False)


def test_a_data_set_that_does_not_fit_is_refused(
    tiny_config: SpartaConfig, few: Dataset, tmp_path: Path
) -> None:
    config = replace(tiny_config, timesteps=4)
    with pytest.raises(ConfigError, match=r"'digits' does not fit network 'tiny': its samples have 8 steps"):
        train(config, tmp_path, few, few, SETTINGS, progress=False)


@pytest.mark.parametrize(("own_k", "low", "high"), [(0.0, 0.0, 0.0), (0.8, 0.6, 0.95)])
def test_a_part_of_the_steps_takes_each_samples_own_k(
    full_config: SpartaConfig,
    few: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    own_k: float,
    low: float,
    high: float,
) -> None:
    requests: list[int | None] = []
    layers = SpartaNetwork.layers

    def spy(network: SpartaNetwork, spikes: Tensor, k: int | None = None) -> dict[str, Tensor]:
        requests.append(k)
        return layers(network, spikes, k)

    monkeypatch.setattr(SpartaNetwork, "layers", spy)
    trainer = Trainer(full_config, replace(SETTINGS, batch=2, own_k=own_k), few, one_process())
    trainer.run_epoch()
    assert low <= requests.count(0) / len(requests) <= high


def test_bfloat16_is_for_training_in_floats_only(full_config: SpartaConfig, few: Dataset) -> None:
    network = Trainer(full_config, HALF, few, one_process()).network
    inputs = few.unpacked(few.tensor(torch.arange(4)))
    assert network.train().layers(inputs)["stem.1"].dtype == torch.bfloat16
    assert network.eval().layers(inputs)["stem.1"].dtype == torch.float32
    network.quantize()
    assert network.train().layers(inputs)["stem.1"].dtype == torch.float32


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"epochs": 0}, r"training: epochs must be at least 1, not 0"),
        ({"own_k": 1.0}, r"training: own_k must be 0 to below 1, not 1.0"),
        ({"precision": "half"}, r"training: precision must be one of float32, bfloat16, not 'half'"),
    ],
)
def test_settings_out_of_range_are_refused(field: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainSettings(**field)
