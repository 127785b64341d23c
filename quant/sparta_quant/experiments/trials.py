"""Trainings of the rows of all tables; a configuration that several rows share is trained once."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sparta_hw.files import write_text
from sparta_quant.checkpoint import load_checkpoint
from sparta_quant.config import SpartaConfig
from sparta_quant.data import Dataset, open_dataset
from sparta_quant.evaluate import evaluate
from sparta_quant.experiments.variance import token_variance
from sparta_quant.networks import with_tokens
from sparta_quant.training import NETWORK_FILE, TrainSettings, train

__all__ = ["Outcome", "Trials"]

_RESULT_FILE = "outcome.json"


@dataclass(frozen=True)
class Outcome:
    """What one trained network did on the test samples.

    Parameters
    ----------
    accuracy, float_accuracy : float
        Of the integers, and before the quantisers were switched on, 0 to 1.
    mean_k, sparsity : float
        Tokens that attended, and the part of the tokens that did not.
    timing_variance, interval_variance : float
        See :func:`~sparta_quant.experiments.variance.token_variance`.
    """

    accuracy: float
    float_accuracy: float
    mean_k: float
    sparsity: float
    timing_variance: float
    interval_variance: float


class Trials:
    """Trains what is asked for, once, and keeps every outcome.

    Parameters
    ----------
    folder : Path
        A folder for each trial is made in it; finished ones are read, interrupted ones go on.
    data : str
        Data set, as for :func:`~sparta_quant.data.open_dataset`.
    settings : TrainSettings
        The same for all.
    train_samples, test_samples : int or None
        So many samples, spread over all; all if None.
    """

    def __init__(
        self,
        folder: Path,
        data: str,
        settings: TrainSettings,
        train_samples: int | None = None,
        test_samples: int | None = None,
    ) -> None:
        self.folder = folder
        self.data = data
        self.settings = settings
        self._samples = {"train": train_samples, "test": test_samples}
        self._sets: dict[tuple[int, str], Dataset] = {}

    def sets(self, config: SpartaConfig) -> tuple[Dataset, Dataset]:
        """Training and test samples in the steps of ``config``."""
        for split in ("train", "test"):
            if (config.timesteps, split) not in self._sets:
                dataset = open_dataset(self.data, split, steps=config.timesteps, size=config.input[1:])
                limit = self._samples[split]
                self._sets[config.timesteps, split] = dataset.spread(limit) if limit else dataset
        return self._sets[config.timesteps, "train"], self._sets[config.timesteps, "test"]

    def network_file(self, config: SpartaConfig) -> Path:
        """The trained network of ``config``."""
        return self._folder_of(config) / NETWORK_FILE

    def _folder_of(self, config: SpartaConfig) -> Path:
        key = json.dumps([config.to_dict(), asdict(self.settings), self.data, self._samples], sort_keys=True)
        return self.folder / hashlib.sha256(key.encode()).hexdigest()[:16]

    def done(self, config: SpartaConfig) -> bool:
        """Whether its outcome is there."""
        return (self._folder_of(config) / _RESULT_FILE).exists()

    def outcome(self, config: SpartaConfig) -> Outcome:
        """Train ``config`` unless that is done, and measure it."""
        folder = self._folder_of(config)
        if self.done(config):
            return Outcome(**json.loads((folder / _RESULT_FILE).read_text()))
        train_set, test_set = self.sets(config)
        if not (folder / NETWORK_FILE).exists():
            train(config, folder, train_set, test_set, self.settings, every_k=False)
        network, measured = load_checkpoint(folder / NETWORK_FILE)
        evaluation = evaluate(network, test_set)
        timing, interval = token_variance(with_tokens(network), test_set)
        outcome = Outcome(
            accuracy=evaluation.accuracy,
            float_accuracy=measured.float_accuracy,
            mean_k=evaluation.mean_k,
            sparsity=1 - evaluation.mean_k / config.tokens,
            timing_variance=timing,
            interval_variance=interval,
        )
        write_text(folder / _RESULT_FILE, json.dumps(asdict(outcome), indent=2) + "\n")
        return outcome

    def run_all(self, configs: dict[str, SpartaConfig]) -> dict[str, Outcome]:
        """Outcomes by label, with a progress bar over the trials that are left."""
        unique: dict[str, Any] = {str(self._folder_of(config)): config for config in configs.values()}
        left = [config for config in unique.values() if not self.done(config)]
        with tqdm(total=len(unique), initial=len(unique) - len(left), unit="trial", desc="experiment") as bar:
            for config in left:
                self.outcome(config)
                bar.update()
        return {label: self.outcome(config) for label, config in configs.items()}
