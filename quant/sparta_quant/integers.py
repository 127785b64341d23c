"""The integers that define a deployed network: all that export, checkpoint and exact forward need."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sparta_quant.config import SpartaConfig

__all__ = ["GateIntegers", "HILIFIntegers", "NetworkIntegers", "ScoreIntegers", "WeightIntegers"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WeightIntegers:
    """Weights of a convolution (C', C, height, width) or a linear layer (outputs, inputs).

    ``weight`` is s8 and stands for ``weight * 2**-frac``. ``bias`` (outputs,) is s24 on the grid of the sums,
    ``frac`` plus the fractional bits of the input; None where the layer has no bias.
    """

    weight: IntArray
    frac: int
    bias: IntArray | None


@dataclass(frozen=True, eq=False)
class HILIFIntegers:
    """``leak`` (C,) is K = tau_inv * 2^8, 1 to 255; ``threshold`` (C,) is theta, at least 1."""

    leak: IntArray
    threshold: IntArray


@dataclass(frozen=True, eq=False)
class ScoreIntegers:
    """``tables`` (4, T * 8 + 1): first, interval, burst and rate, on the grid of the score."""

    tables: IntArray


@dataclass(frozen=True, eq=False)
class GateIntegers:
    """``alpha`` and ``beta`` of paper eq. 9, u8.6."""

    alpha: int
    beta: int


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkIntegers:
    """A whole network; ``convs`` and ``hilifs`` have one entry for each stem layer."""

    config: SpartaConfig
    convs: tuple[WeightIntegers, ...]
    hilifs: tuple[HILIFIntegers, ...]
    score: ScoreIntegers
    gate: GateIntegers
    query: WeightIntegers
    key: WeightIntegers
    value: WeightIntegers
    classifier: WeightIntegers

    def to_dict(self) -> dict[str, Any]:
        """Tensors, numbers and text only, so that ``torch.load(weights_only=True)`` reads them."""
        return {
            "config": self.config.to_dict(),
            "convs": [_weights_to_dict(conv) for conv in self.convs],
            "hilifs": [
                {"leak": _tensor(hilif.leak), "threshold": _tensor(hilif.threshold)} for hilif in self.hilifs
            ],
            "tables": _tensor(self.score.tables),
            "gate": {"alpha": self.gate.alpha, "beta": self.gate.beta},
            **{name: _weights_to_dict(getattr(self, name)) for name in _LINEARS},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "NetworkIntegers":
        """The network that :meth:`to_dict` wrote."""
        return cls(
            config=SpartaConfig.from_dict(values["config"]),
            convs=tuple(_weights_from_dict(conv) for conv in values["convs"]),
            hilifs=tuple(
                HILIFIntegers(_array(hilif["leak"]), _array(hilif["threshold"])) for hilif in values["hilifs"]
            ),
            score=ScoreIntegers(_array(values["tables"])),
            gate=GateIntegers(**values["gate"]),
            **{name: _weights_from_dict(values[name]) for name in _LINEARS},
        )


_LINEARS = ("query", "key", "value", "classifier")


def _tensor(array: IntArray) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.int32))


def _array(tensor: torch.Tensor) -> IntArray:
    return tensor.numpy().astype(np.int64)


def _weights_to_dict(weights: WeightIntegers) -> dict[str, Any]:
    return {
        "weight": torch.from_numpy(weights.weight.astype(np.int8)),
        "frac": weights.frac,
        "bias": None if weights.bias is None else _tensor(weights.bias),
    }


def _weights_from_dict(values: Mapping[str, Any]) -> WeightIntegers:
    bias = values["bias"]
    return WeightIntegers(_array(values["weight"]), values["frac"], None if bias is None else _array(bias))
