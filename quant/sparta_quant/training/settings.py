"""How to train, and what suits each named network."""

from dataclasses import dataclass, field
from typing import Literal

from sparta_hw.errors import ConfigError
from sparta_quant.data import Augmentation

__all__ = ["TrainSettings", "default_settings"]

_PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How to train.

    Parameters
    ----------
    epochs, finetune_epochs : int
        Passes over the data in floats, then on the grids.
    batch : int
        Samples of one step of the optimiser, over all devices.
    learning_rate, finetune_rate : float
        AdamW at the start of each phase; a cosine takes it to zero (paper "Experimental Setup").
    weight_decay : float
        AdamW.
    label_smoothing : float
        Of the cross-entropy.
    logit_scale : float
        Factor on the logits in the cross-entropy.
    sparsity_weight : float
        Of :meth:`~sparta_quant.network.SpartaNetwork.sparsity_loss`, with dynamic K.
    own_k : float
        With dynamic K: part of the steps that take each sample's own K, 0 to below 1; the others take a sparsity level.
    precision : {"float32", "bfloat16"}
        Of the spiking convolutions while training in floats. Spikes are exact in both; currents and their gradients
        have 8 bits in bfloat16, membranes and statistics 24. On the grids all is float32.
    augmentation : Augmentation
        What happens to each batch.
    seed : int
        Initial parameters, order of samples, K and augmentation.

    Raises
    ------
    ConfigError
        A number is out of its range.
    """

    epochs: int = 60
    finetune_epochs: int = 20
    batch: int = 64
    learning_rate: float = 2e-2
    finetune_rate: float = 4e-3
    weight_decay: float = 1e-2
    label_smoothing: float = 0.1
    logit_scale: float = 1.0
    sparsity_weight: float = 10.0
    own_k: float = 0.5
    precision: Literal["float32", "bfloat16"] = "float32"
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(shift=1))
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in (("epochs", 1), ("finetune_epochs", 0), ("batch", 1)):
            if getattr(self, name) < low:
                raise ConfigError(f"training: {name} must be at least {low}, not {getattr(self, name)}")
        if not 0 <= self.own_k < 1:
            raise ConfigError(f"training: own_k must be 0 to below 1, not {self.own_k}")
        if self.precision not in _PRECISIONS:
            raise ConfigError(
                f"training: precision must be one of {', '.join(_PRECISIONS)}, not {self.precision!r}"
            )


_SETTINGS = {
    "digits": TrainSettings(),
    "mlp": TrainSettings(
        epochs=10,
        finetune_epochs=4,
        batch=128,
        learning_rate=4e-3,
        finetune_rate=1e-3,
        logit_scale=0.5,
        augmentation=Augmentation(shift=1),
    ),
    "nmnist": TrainSettings(
        epochs=60,
        finetune_epochs=8,
        batch=32,
        learning_rate=4e-3,
        finetune_rate=1e-3,
        own_k=0.8,
        precision="bfloat16",
        augmentation=Augmentation(shift=2, rotation=15.0, zoom=0.15, drop=0.125),
    ),
    "gesture": TrainSettings(
        epochs=40,
        finetune_epochs=10,
        learning_rate=1e-2,
        finetune_rate=2e-3,
        augmentation=Augmentation(shift=8),
    ),
    "cifar10": TrainSettings(
        epochs=30,
        finetune_epochs=5,
        learning_rate=5e-3,
        finetune_rate=1e-3,
        augmentation=Augmentation(shift=4, flip=True),
    ),
    "paper": TrainSettings(
        epochs=300,
        finetune_epochs=30,
        learning_rate=1e-4,
        finetune_rate=2e-5,
        augmentation=Augmentation(shift=8),
    ),
}


def default_settings(network: str) -> TrainSettings:
    """Settings for a named network; variants of one, such as ``gesture16``, share its settings."""
    return _SETTINGS.get(network.rstrip("0123456789"), _SETTINGS.get(network, TrainSettings()))
