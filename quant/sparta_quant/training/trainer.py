"""Network, optimiser and random state of one training; all of it is saved after each epoch."""

import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from sparta_hw.errors import ConfigError
from sparta_quant.checkpoint import read_tensors, write_tensors
from sparta_quant.config import SpartaConfig
from sparta_quant.data import Dataset
from sparta_quant.network import SpartaNetwork
from sparta_quant.networks import build_network
from sparta_quant.ranges import Overflow, overflows
from sparta_quant.spiking_network import SpikingNetwork
from sparta_quant.training.settings import TrainSettings

__all__ = ["Trainer"]

_PROJECTION_STEP = 128.0
"""Weights of attention move by ``128 / (D T)`` of the rate, at most by all of it."""
_LOGIT_STEP = 64.0
"""Weights of logits move by ``64 / (N D)`` of the rate."""
_CALIBRATION_SAMPLES = 256


class Trainer:
    """One training on the devices of ``fabric``.

    Each step draws K, so that one network serves all sparsity levels: one of the levels, or, with dynamic K, each
    sample's own in ``own_k`` of the steps. Every process draws the same random numbers and takes its part of each
    batch.

    Parameters
    ----------
    config : SpartaConfig
        Network.
    settings : TrainSettings
        How to train.
    train_set : Dataset
        Samples.
    fabric : Fabric
        Launched.
    """

    def __init__(
        self, config: SpartaConfig, settings: TrainSettings, train_set: Dataset, fabric: Fabric
    ) -> None:
        self.config = config
        self.settings = settings
        self.total = settings.epochs + settings.finetune_epochs
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.float_accuracy = 0.0
        self.float_parameters: dict[str, Any] = {}
        self._fabric = fabric
        self._train_set = train_set
        self._labels = torch.from_numpy(train_set.labels)
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.network = build_network(config)
        self._generator = torch.Generator().manual_seed(settings.seed)
        own = round(len(config.k_levels) * settings.own_k / (1 - settings.own_k)) if config.dynamic_k else 0
        self._k_choices = (*config.k_levels, *[0] * own) or (0,)
        for stage in self.network.spiking:
            stage.low_precision = settings.precision == "bfloat16"
        self._set_up()

    def _set_up(self) -> None:
        self._module, self._optimizer = self._fabric.setup(
            self.network, _optimizer(self.network, self.settings)
        )
        self._module.mark_forward_method("layers")

    @property
    def finetuning(self) -> bool:
        """Whether the network computes on the grids."""
        return self.network.exact

    def start_finetuning(self, float_accuracy: float) -> None:
        """Go to the grids, with a fresh optimiser: folding changed the scale of what it had seen."""
        self.float_accuracy = float_accuracy
        self.float_parameters = copy.deepcopy(dict(self.network.state_dict()))
        self.network.quantize()
        self._set_up()

    def run_epoch(self) -> dict[str, float]:
        """One pass over the data; answers with its figures, which are the last of ``history`` too."""
        self.network.train()
        batches = torch.randperm(len(self._labels), generator=self._generator).split(self.settings.batch)
        sums: dict[str, float] = dict.fromkeys(("loss", "accuracy", "firing_rate", "mean_k"), 0.0)
        for n, batch in enumerate(batches):
            rate = self._set_rate(n / len(batches))
            for name, value in self._step(batch).items():
                sums[name] += value * len(batch) / len(self._labels)
        self.epoch += 1
        self.history.append({"epoch": self.epoch, "finetuning": float(self.finetuning), "rate": rate, **sums})
        return self.history[-1]

    def _step(self, batch: Tensor) -> dict[str, float]:
        k = self._k_choices[self._draw(len(self._k_choices))]
        inputs = self.settings.augmentation(self._train_set.tensor(batch), self._generator)
        mine = slice(self._fabric.global_rank, None, self._fabric.world_size)
        inputs, labels = (
            inputs[mine].to(self._fabric.device),
            self._labels[batch][mine].to(self._fabric.device),
        )
        layers = self._module.layers(self._train_set.unpacked(inputs), k)
        loss = F.cross_entropy(
            layers["logits"] * self.settings.logit_scale,
            labels,
            label_smoothing=self.settings.label_smoothing,
        )
        loss = loss + self.settings.sparsity_weight * self.network.sparsity_loss(layers)
        self._optimizer.zero_grad()
        self._fabric.backward(loss)
        self._optimizer.step()
        self.network.clamp_()
        rates = self.network.firing_rates(layers).values()
        figures = {
            "loss": loss.detach(),
            "accuracy": (layers["logits"].argmax(1) == labels).float().mean(),
            "firing_rate": torch.tensor(sum(rates) / len(rates)),
            "mean_k": self.network.k_of(layers, k).float().mean(),
        }
        return {
            name: float(torch.as_tensor(self._fabric.all_reduce(value))) for name, value in figures.items()
        }

    def _draw(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self._generator))

    def _set_rate(self, fraction: float) -> float:
        """Cosine from the phase's rate to zero over the phase; answers with the rate."""
        settings = self.settings
        start, length, peak = (0, settings.epochs, settings.learning_rate)
        if self.finetuning:
            start, length, peak = (settings.epochs, settings.finetune_epochs, settings.finetune_rate)
        done = torch.tensor((self.epoch - start + fraction) / length)
        rate = peak * 0.5 * (1 + float(torch.cos(torch.pi * done)))
        for group in self._optimizer.param_groups:
            group["lr"] = group["factor"] * rate
        return rate

    def overflows(self) -> list[Overflow]:
        """What the grids cannot hold of the network in floats, on the first training samples."""
        self.network.eval()
        return overflows(self.network, self._first_inputs())

    def finish(self) -> SpikingNetwork:
        """The deployed network, its feedback controller calibrated on the first training samples."""
        if not self.finetuning:
            self.network.quantize()
        self.network.eval()
        self.network.calibrate_(self._first_inputs())
        return self.network.cpu().deploy()

    def _first_inputs(self) -> Tensor:
        first = self._train_set.head(_CALIBRATION_SAMPLES)
        return first.unpacked(first.tensor(torch.arange(len(first))).to(self._fabric.device))

    def save(self, path: Path) -> None:
        """Keep everything that the next epoch depends on."""
        if not self._fabric.is_global_zero:
            return
        write_tensors(
            path,
            {
                "config": self.config.to_dict(),
                "settings": _plain(self.settings),
                "epoch": self.epoch,
                "history": self.history,
                "float_accuracy": self.float_accuracy,
                "float_parameters": self.float_parameters,
                "network": self.network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "generator": self._generator.get_state(),
            },
        )

    def resume(self, path: Path) -> None:
        """Continue from ``path`` if it is there.

        Raises
        ------
        ConfigError
            It is a training of another network or with other settings.
        """
        if not path.exists():
            return
        state = read_tensors(path, "the state of a training")
        if state.get("config") != self.config.to_dict() or state.get("settings") != _plain(self.settings):
            raise ConfigError(
                f"{path}: a training of another network or with other settings: "
                "use the same ones to continue it, or another folder"
            )
        self.epoch, self.history = state["epoch"], state["history"]
        if self.epoch > self.settings.epochs:
            self.start_finetuning(0.0)
        self.float_accuracy, self.float_parameters = state["float_accuracy"], state["float_parameters"]
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["generator"])


def _plain(settings: TrainSettings) -> dict[str, Any]:
    return asdict(settings)


def _optimizer(network: SpikingNetwork, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW with smaller rates where inputs are large or many, so that one step moves outputs of all layers alike.

    Tokens are counts of up to T spikes in D features; pooled features are sums over N of them.
    """
    config = network.config
    factors: list[tuple[nn.Module, float]] = []
    if isinstance(network, SpartaNetwork):
        factors = [
            (network.attention.layers, min(1.0, _PROJECTION_STEP / (config.features * config.timesteps))),
            (network.classifier, _LOGIT_STEP / (config.tokens * config.features)),
        ]
    groups: list[dict[str, Any]] = [
        {"params": list(part.parameters()), "factor": factor} for part, factor in factors
    ]
    slowed = {id(parameter) for group in groups for parameter in group["params"]}
    others = [parameter for parameter in network.parameters() if id(parameter) not in slowed]
    groups.append({"params": others, "factor": 1.0})
    return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)
