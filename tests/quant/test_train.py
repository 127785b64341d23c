"""Training continues where it was interrupted, and learns."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sparta_hw.errors import ConfigError
from sparta_quant import train as training
from sparta_quant.checkpoint import load_checkpoint
from sparta_quant.config import SpartaConfig
from sparta_quant.data import load_digits
from sparta_quant.evaluate import evaluate
from sparta_quant.events import EventDataset
from sparta_quant.train import NETWORK_FILE, STATE_FILE, TrainSettings, train

SETTINGS = TrainSettings(epochs=2, finetune_epochs=2, batch=32)


@pytest.fixture(scope="module")
def few() -> EventDataset:
    return load_digits("train").head(128)


@pytest.mark.slow
@pytest.mark.parametrize("interrupted_after", [1, 2, 3])
def test_resumed_training_equals_an_uninterrupted_one(
    tiny_config: SpartaConfig,
    few: EventDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupted_after: int,
) -> None:
    whole, measured = train(
        tiny_config, tmp_path / "whole", SETTINGS, train_set=few, test_set=few, progress=False
    )

    run_epoch = training._Trainer.run_epoch

    def interrupted(trainer: training._Trainer) -> str:
        if trainer.epoch == interrupted_after:
            raise KeyboardInterrupt
        return run_epoch(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(training._Trainer, "run_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(tiny_config, tmp_path / "parts", SETTINGS, train_set=few, test_set=few, progress=False)
    torch.manual_seed(interrupted_after)
    resumed, measured_again = train(
        tiny_config, tmp_path / "parts", SETTINGS, train_set=few, test_set=few, progress=False
    )
    assert measured_again == measured
    np.testing.assert_array_equal(
        resumed.integers().spiking[0].conv.weight, whole.integers().spiking[0].conv.weight
    )
    np.testing.assert_array_equal(resumed.integers().classifier.bias, whole.integers().classifier.bias)


@pytest.mark.slow
def test_training_learns_and_writes_what_it_returns(
    tiny_config: SpartaConfig, few: EventDataset, tmp_path: Path
) -> None:
    settings = TrainSettings(epochs=15, finetune_epochs=5, batch=16)
    _, measured = train(tiny_config, tmp_path, settings, train_set=few, test_set=few, progress=False)
    network, recorded = load_checkpoint(tmp_path / NETWORK_FILE)
    assert recorded == measured
    assert evaluate(network, few).accuracy == measured.accuracy
    assert measured.accuracy > 0.3


@pytest.mark.slow
def test_other_settings_are_refused(tiny_config: SpartaConfig, few: EventDataset, tmp_path: Path) -> None:
    settings = TrainSettings(epochs=1, finetune_epochs=0)
    train(tiny_config, tmp_path, settings, train_set=few, test_set=few, progress=False)
    with pytest.raises(
        ConfigError, match=rf"{STATE_FILE}: a training of another network or with other settings"
    ):
        train(tiny_config, tmp_path, SETTINGS, train_set=few, test_set=few, progress=False)
