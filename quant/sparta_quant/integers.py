"""The integers that define a deployed network: all that export, checkpoint and exact forward need."""

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray

from sparta_quant.config import SpartaConfig

__all__ = [
    "AttentionIntegers",
    "FeedbackIntegers",
    "GateIntegers",
    "HILIFIntegers",
    "MlpIntegers",
    "NetworkIntegers",
    "ScoreIntegers",
    "SpikingIntegers",
    "WeightIntegers",
]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WeightIntegers:
    """Weights of a convolution (C', C, height, width) or a linear layer (outputs, inputs).

    ``weight`` is s8 and stands for ``weight * 2**-frac``. ``bias`` (outputs,) is s24 on the grid of the sums,
    ``frac`` plus the fractional bits of the input; None where the layer has no bias. The 1x1 weights of a pooled
    branch are those of one place of its cells.
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
class SpikingIntegers:
    """A spiking convolution."""

    conv: WeightIntegers
    hilif: HILIFIntegers


@dataclass(frozen=True, eq=False)
class ScoreIntegers:
    """Tables of one scale, ``msp`` and ``temporal`` (4, T * 8 + 1): first, interval, burst and rate, s11.4."""

    msp: IntArray
    temporal: IntArray


@dataclass(frozen=True, eq=False)
class MlpIntegers:
    """A token MLP: its hidden layer (8, 3) and its output layer (1, 8)."""

    hidden: WeightIntegers
    output: WeightIntegers


@dataclass(frozen=True, eq=False)
class GateIntegers:
    """``alpha`` and ``beta`` of paper eq. 9, u8.6."""

    alpha: int
    beta: int


@dataclass(frozen=True, eq=False, kw_only=True)
class AttentionIntegers:
    """One attention layer; ``hidden`` (D, 2 D) is None in the last one."""

    query: WeightIntegers
    key: WeightIntegers
    value: WeightIntegers
    hidden: WeightIntegers | None


@dataclass(frozen=True, eq=False)
class FeedbackIntegers:
    """``activity_shift`` u5 and ``target`` u16 of the feedback controller."""

    activity_shift: int
    target: int


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkIntegers:
    """A whole network; parts that its configuration switches off are None.

    Parameters
    ----------
    config : SpartaConfig
        Shape and formats.
    spiking : tuple of SpikingIntegers
        Stem layers, then the branches fine, local, context.
    scores : tuple of ScoreIntegers
        One for each scale.
    inhibition : int or None
        u7.6, of the centre-surround kernel.
    fusion, sparsity, priority : MlpIntegers or None
        Token MLPs of eq. 8, eq. 7 and the sparse classifier.
    k_table : int array (256,) or None
        K for the sparsity MLP's output >> 4, from -128.
    gate : GateIntegers
        Factors of eq. 9.
    timing, temperature : int array (128,) or None
        u8.6, for a score >> 5, from -64.
    attention : tuple of AttentionIntegers
        One for each layer.
    classifier : WeightIntegers
        Logits.
    feedback : FeedbackIntegers or None
        Feedback controller.
    """

    config: SpartaConfig
    spiking: tuple[SpikingIntegers, ...]
    scores: tuple[ScoreIntegers, ...] = ()
    gate: GateIntegers | None = None
    attention: tuple[AttentionIntegers, ...] = ()
    classifier: WeightIntegers | None = None
    inhibition: int | None = None
    fusion: MlpIntegers | None = None
    sparsity: MlpIntegers | None = None
    k_table: IntArray | None = None
    timing: IntArray | None = None
    priority: MlpIntegers | None = None
    temperature: IntArray | None = None
    feedback: FeedbackIntegers | None = None

    def to_dict(self) -> dict[str, Any]:
        """Tensors, numbers and text only, so that ``torch.load(weights_only=True)`` reads them."""
        parts = {field.name: _to_plain(getattr(self, field.name)) for field in fields(self)}
        return {**parts, "config": self.config.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "NetworkIntegers":
        """The network that :meth:`to_dict` wrote."""
        hints = get_type_hints(cls)
        parts = {name: _from_plain(hints[name], value) for name, value in values.items() if name != "config"}
        return cls(config=SpartaConfig.from_dict(values["config"]), **parts)


def _to_plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        fits_byte = value.size and np.array_equal(value, value.astype(np.int8))
        return torch.from_numpy(value.astype(np.int8 if fits_byte else np.int32))
    if isinstance(value, tuple):
        return [_to_plain(part) for part in value]
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: _to_plain(getattr(value, field.name)) for field in fields(value)}
    return value


def _from_plain(kind: Any, value: Any) -> Any:
    """``value`` as the type ``kind``: a class of this module, a tuple of one, an array or a number."""
    if get_origin(kind) in (Union, types.UnionType):
        if value is None:
            return None
        kind = next(part for part in get_args(kind) if part is not type(None))
    if isinstance(value, torch.Tensor):
        return value.numpy().astype(np.int64)
    if isinstance(value, list):
        return tuple(_from_plain(get_args(kind)[0], part) for part in value)
    if isinstance(value, dict):
        hints = get_type_hints(kind)
        return kind(**{name: _from_plain(hints[name], part) for name, part in value.items()})
    return value
