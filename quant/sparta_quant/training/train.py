"""The whole training: both phases, resumed where it was interrupted, measured at the end."""

import json
import sys
import time
from pathlib import Path

from lightning_fabric import Fabric
from tqdm import tqdm

from sparta_hw.files import write_text
from sparta_quant.checkpoint import Measured, save_checkpoint
from sparta_quant.config import SpartaConfig
from sparta_quant.data import Dataset
from sparta_quant.data.fit import check_fit
from sparta_quant.evaluate import evaluate
from sparta_quant.spiking_network import SpikingNetwork
from sparta_quant.training.settings import TrainSettings
from sparta_quant.training.trainer import Trainer

__all__ = ["HISTORY_FILE", "NETWORK_FILE", "STATE_FILE", "train"]

NETWORK_FILE = "network.pt"
STATE_FILE = "training.pt"
HISTORY_FILE = "history.json"


def train(
    config: SpartaConfig,
    out_dir: str | Path,
    train_set: Dataset,
    test_set: Dataset,
    settings: TrainSettings | None = None,
    *,
    fabric: Fabric | None = None,
    every_k: bool = True,
    progress: bool = True,
) -> tuple[SpikingNetwork, Measured]:
    """Train a network and write it to ``out_dir / NETWORK_FILE``.

    The state after each epoch is kept in ``out_dir / STATE_FILE``: an interrupted training continues from there, with
    the result of an uninterrupted one. The figures of each epoch are in ``out_dir / HISTORY_FILE``. The test set is
    measured after each phase and chooses nothing. Values that the grids cannot hold are named beside the progress.

    Parameters
    ----------
    config : SpartaConfig
        Network.
    out_dir : path
        Created if missing.
    train_set, test_set : Dataset
        Of the shape, steps and coding of the network.
    settings : TrainSettings or None
        Defaults if None.
    fabric : Fabric or None
        Devices and processes (Lightning Fabric); one process on the CPU if None.
    every_k : bool
        Measure the accuracy at every sparsity level, not only at the default K.
    progress : bool
        Show a progress bar with loss, accuracy, firing rate and mean K.

    Returns
    -------
    SpikingNetwork, Measured
        The deployed network, and its measurements on the test set.

    Raises
    ------
    ConfigError
        ``out_dir`` holds a training of another network or with other settings, or a data set does not fit the network.
    """
    settings = settings or TrainSettings()
    fabric = fabric or Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    for dataset in (train_set, test_set):
        check_fit(config, dataset)
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, settings, train_set, fabric)
    trainer.resume(folder / STATE_FILE)
    shown = progress and fabric.is_global_zero
    with tqdm(total=trainer.total, initial=trainer.epoch, disable=not shown, unit="epoch") as bar:
        while trainer.epoch < trainer.total:
            if trainer.epoch == settings.epochs and not trainer.finetuning:
                _go_to_grids(trainer, test_set, bar)
            bar.set_description("on the grid" if trainer.finetuning else "float")
            started = time.monotonic()
            figures = trainer.run_epoch()
            figures["seconds"] = time.monotonic() - started
            bar.set_postfix_str(_shown(figures))
            trainer.save(folder / STATE_FILE)
            if fabric.is_global_zero:
                write_text(folder / HISTORY_FILE, json.dumps(trainer.history, indent=1) + "\n")
            bar.update()
        if not trainer.finetuning:
            _go_to_grids(trainer, test_set, bar)
    network = trainer.finish()
    levels = config.k_levels if every_k else ()
    measured = _measure(network, test_set, trainer.float_accuracy, levels)
    if fabric.is_global_zero:
        save_checkpoint(network, measured, folder / NETWORK_FILE, trainer.float_parameters)
    return network, measured


def _go_to_grids(trainer: Trainer, test_set: Dataset, bar: tqdm) -> None:
    """Measure the network in floats, say what will saturate, and end the first phase."""
    accuracy = evaluate(trainer.network, test_set).accuracy
    if not bar.disable:
        for overflow in trainer.overflows():
            bar.write(f"note: {overflow}", file=sys.stderr)
    trainer.start_finetuning(accuracy)


def _measure(
    network: SpikingNetwork, test_set: Dataset, float_accuracy: float, levels: tuple[int, ...]
) -> Measured:
    config = network.config
    default = evaluate(network, test_set)
    others = {k: evaluate(network, test_set, k).accuracy for k in levels if k != config.default_k}
    return Measured(
        float_accuracy=float_accuracy,
        accuracy=default.accuracy,
        accuracy_of_k=others | {config.default_k: default.accuracy},
        mean_k=default.mean_k,
        firing_rates=default.firing_rates,
    )


def _shown(figures: dict[str, float]) -> str:
    return (
        f"loss {figures['loss']:.3f}, accuracy {figures['accuracy']:.3f}, "
        f"firing rate {figures['firing_rate']:.3f}, mean K {figures['mean_k']:.1f}"
    )
