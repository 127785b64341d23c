"""Training continues where it was interrupted, and learns."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparta_hw.errors import ConfigError
from sparta_quant.checkpoint import load_checkpoint, load_float_network
from sparta_quant.config import SpartaConfig
from sparta_quant.data import Dataset, load_digits
from sparta_quant.evaluate import evaluate
from sparta_quant.network import SpartaNetwork
from sparta_quant.training import HISTORY_FILE, NETWORK_FILE, STATE_FILE, TrainSettings, train
from sparta_quant.training.trainer import Trainer

SETTINGS = TrainSettings(epochs=2, finetune_epochs=2, batch=32)


@pytest.fixture(scope="module")
def few() -> Dataset:
    return load_digits("train").head(128)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny_config", "full_config"])
@pytest.mark.parametrize("interrupted_after", [1, 2, 3])
def test_resumed_training_equals_an_uninterrupted_one(
    request: pytest.FixtureRequest,
    name: str,
    few: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupted_after: int,
) -> None:
    config: SpartaConfig = request.getfixturevalue(name)
    whole, measured = train(config, tmp_path / "whole", few, few, SETTINGS, progress=False)

    run_epoch = Trainer.run_epoch

    def interrupted(trainer: Trainer) -> dict[str, float]:
        if trainer.epoch == interrupted_after:
            raise KeyboardInterrupt
        return run_epoch(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "parts", few, few, SETTINGS, progress=False)
    torch.manual_seed(interrupted_after)
    resumed, measured_again = train(config, tmp_path / "parts", few, few, SETTINGS, progress=False)
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


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"training: epochs must be at least 1, not 0"):
        TrainSettings(epochs=0)
