"""Training: first in floats, then on the fixed-point grids; it continues where it was interrupted."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from sparta_hw.errors import ConfigError
from sparta_quant.checkpoint import Measured, read_tensors, save_checkpoint, write_tensors
from sparta_quant.config import SpartaConfig
from sparta_quant.data import load_digits
from sparta_quant.evaluate import evaluate
from sparta_quant.events import EventDataset
from sparta_quant.network import SpartaNetwork

__all__ = ["NETWORK_FILE", "STATE_FILE", "TrainSettings", "train"]

NETWORK_FILE = "network.pt"
STATE_FILE = "training.pt"
_LARGEST_MOVE = 1
_LOST_EVENTS = 0.1
_LABEL_SMOOTHING = 0.1
_CLASSIFIER_FACTOR = 1 / 32


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How to train.

    Parameters
    ----------
    epochs, finetune_epochs : int
        Passes over the data in floats, then on the grids.
    batch : int
        Recordings of one step of the optimiser.
    learning_rate, finetune_rate : float
        AdamW at the start of each phase; a cosine takes it to zero (paper "Experimental Setup").
    weight_decay : float
        AdamW.
    seed : int
        Initial parameters, order of recordings, K and augmentation.
    """

    epochs: int = 60
    finetune_epochs: int = 20
    batch: int = 64
    learning_rate: float = 2e-2
    finetune_rate: float = 4e-3
    weight_decay: float = 1e-2
    seed: int = 0


def train(
    config: SpartaConfig,
    out_dir: str | Path,
    settings: TrainSettings | None = None,
    *,
    train_set: EventDataset | None = None,
    test_set: EventDataset | None = None,
    progress: bool = True,
) -> tuple[SpartaNetwork, Measured]:
    """Train a network and write it to ``out_dir / NETWORK_FILE``.

    Each step draws K from the sparsity levels, so that one network serves all of them, moves the recordings
    by up to one pixel and drops a tenth of their events. The state after each epoch is kept in ``out_dir /
    STATE_FILE``: an interrupted training continues from there, with the result of an uninterrupted one.

    Parameters
    ----------
    config : SpartaConfig
        Network.
    out_dir : path
        Created if missing.
    settings : TrainSettings or None
        Defaults if None.
    train_set, test_set : EventDataset or None
        The embedded digits if None.
    progress : bool
        Show a progress bar with loss, accuracy and firing rate.

    Returns
    -------
    SpartaNetwork, Measured
        The deployed network, and its measurements on the test set.

    Raises
    ------
    ConfigError
        ``out_dir`` holds a training of another network or with other settings.
    """
    settings = settings or TrainSettings()
    train_set = train_set or load_digits("train")
    test_set = test_set or load_digits("test")
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = _Trainer(config, settings, train_set)
    trainer.resume(folder / STATE_FILE)
    with tqdm(total=trainer.total, initial=trainer.epoch, disable=not progress, unit="epoch") as bar:
        while trainer.epoch < trainer.total:
            if trainer.epoch == settings.epochs:
                trainer.float_accuracy = evaluate(trainer.network, test_set).accuracy
                trainer.start_finetuning()
            bar.set_description("float" if trainer.epoch < settings.epochs else "on the grid")
            bar.set_postfix_str(trainer.run_epoch())
            trainer.save(folder / STATE_FILE)
            bar.update()
    network = trainer.network.deploy()
    accuracy_of_k = {k: evaluate(network, test_set, k).accuracy for k in (*config.k_levels, config.default_k)}
    measured = Measured(
        float_accuracy=trainer.float_accuracy,
        accuracy=accuracy_of_k[config.default_k],
        accuracy_of_k=accuracy_of_k,
        firing_rates=evaluate(network, test_set).firing_rates,
    )
    save_checkpoint(network, measured, folder / NETWORK_FILE)
    return network, measured


class _Trainer:
    """Network, optimiser and random state of one training; all of it is saved after each epoch."""

    def __init__(self, config: SpartaConfig, settings: TrainSettings, train_set: EventDataset) -> None:
        self.config = config
        self.settings = settings
        self.total = settings.epochs + settings.finetune_epochs
        self.epoch = 0
        self.float_accuracy = 0.0
        self._spikes = torch.from_numpy(train_set.spikes).transpose(0, 1)
        self._labels = torch.from_numpy(train_set.labels)
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.network = SpartaNetwork(config)
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._optimizer = _optimizer(self.network, settings)

    def start_finetuning(self) -> None:
        """Go to the grids, with a fresh optimiser: folding changed the scale of what it had seen."""
        self.network.quantize()
        self._optimizer = _optimizer(self.network, self.settings)

    def run_epoch(self) -> str:
        """One pass over the data; answers with its figures for the progress bar."""
        self.network.train()
        order = torch.randperm(len(self._labels), generator=self._generator)
        batches = order.split(self.settings.batch)
        total_loss, correct, rate = 0.0, 0, 0.0
        for n, batch in enumerate(batches):
            self._set_rate(n / len(batches))
            loss, logits, stem_rate = self._step(batch)
            total_loss += loss * len(batch)
            correct += int((logits.argmax(1) == self._labels[batch]).sum())
            rate += stem_rate * len(batch)
        self.epoch += 1
        count = len(order)
        return (
            f"loss {total_loss / count:.3f}, accuracy {correct / count:.3f}, firing rate {rate / count:.3f}"
        )

    def _step(self, batch: Tensor) -> tuple[float, Tensor, float]:
        k = self.config.k_levels[self._draw(len(self.config.k_levels))]
        layers = self.network.layers(self._augmented(self._spikes[:, batch]), k)
        loss = F.cross_entropy(layers["logits"], self._labels[batch], label_smoothing=_LABEL_SMOOTHING)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self.network.clamp_()
        stem = [layers[f"stem.{n}"].detach().mean() for n in range(len(self.config.stem))]
        return loss.item(), layers["logits"].detach(), float(torch.stack(stem).mean())

    def _augmented(self, spikes: Tensor) -> Tensor:
        """The recordings moved by up to one pixel, a part of their events lost."""
        move = tuple(self._draw(2 * _LARGEST_MOVE + 1) - _LARGEST_MOVE for _ in range(2))
        kept = torch.rand(spikes.shape, generator=self._generator) >= _LOST_EVENTS
        return torch.roll((spikes * kept).float(), move, (3, 4))

    def _draw(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self._generator))

    def _set_rate(self, fraction: float) -> None:
        """Cosine from the phase's rate to zero over the phase."""
        settings, exact = self.settings, self.network.exact
        start, length = (settings.epochs, settings.finetune_epochs) if exact else (0, settings.epochs)
        peak = settings.finetune_rate if exact else settings.learning_rate
        done = torch.tensor((self.epoch - start + fraction) / length)
        for group in self._optimizer.param_groups:
            group["lr"] = group["factor"] * peak * 0.5 * (1 + float(torch.cos(torch.pi * done)))

    def save(self, path: Path) -> None:
        """Keep everything that the next epoch depends on."""
        write_tensors(
            path,
            {
                "config": self.config.to_dict(),
                "settings": asdict(self.settings),
                "epoch": self.epoch,
                "float_accuracy": self.float_accuracy,
                "network": self.network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "generator": self._generator.get_state(),
            },
        )

    def resume(self, path: Path) -> None:
        """Continue from ``path`` if it is there."""
        if not path.exists():
            return
        state = read_tensors(path, "the state of a training")
        if state["config"] != self.config.to_dict() or state["settings"] != asdict(self.settings):
            raise ConfigError(
                f"{path}: a training of another network or with other settings: "
                "use the same ones to continue it, or another folder"
            )
        self.epoch = state["epoch"]
        self.float_accuracy = state["float_accuracy"]
        if self.epoch > self.settings.epochs:
            self.start_finetuning()
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["generator"])


def _optimizer(network: SpartaNetwork, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW with a factor on the learning rate: pooled features are sums, so weights of logits move less."""
    classifier = list(network.classifier.parameters())
    chosen = {id(parameter) for parameter in classifier}
    others = [parameter for parameter in network.parameters() if id(parameter) not in chosen]
    groups = [{"params": others, "factor": 1.0}, {"params": classifier, "factor": _CLASSIFIER_FACTOR}]
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
