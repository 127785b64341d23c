"""Values of a network in floats that the grids cannot hold: they saturate once it is quantised."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sparta_hw.numerics import FixedPoint
from sparta_quant.config import SpartaConfig
from sparta_quant.spiking_network import SpikingNetwork

__all__ = ["Overflow", "overflows"]

_FEW = 0.01
"""Saturation of so few values is left to the training on the grids."""


@dataclass(frozen=True, kw_only=True)
class Overflow:
    """A tensor with values beyond its format.

    Parameters
    ----------
    name : str
        Of :meth:`~sparta_quant.spiking_network.SpikingNetwork.layers`.
    option : str
        The field of :class:`~sparta_quant.config.SpartaConfig` that has its fractional bits.
    format : FixedPoint
        Of the tensor on the grids.
    largest : float
        Largest magnitude.
    share : float
        Part of the values that is beyond the format.
    """

    name: str
    option: str
    format: FixedPoint
    largest: float
    share: float

    @property
    def frac(self) -> int:
        """Fractional bits with which all values fit."""
        return math.floor(math.log2(self.format.max / self.largest))

    def __str__(self) -> str:
        limit = self.format.max * self.format.scale
        return (
            f"{self.name}: {self.share:.0%} of the values are beyond {limit:g}, the largest of {self.option} = "
            f"{self.format.frac}, and will saturate; they reach {self.largest:.1f}: {self.option} = {self.frac} "
            "holds them all"
        )


@torch.no_grad()
def overflows(network: SpikingNetwork, spikes: Tensor) -> list[Overflow]:
    """What saturates in more than 1 % of its values when ``network``, still in floats, goes to the grids.

    Parameters
    ----------
    network : SpikingNetwork
        After its training in floats.
    spikes : Tensor
        A batch of typical inputs, as :meth:`~sparta_quant.spiking_network.SpikingNetwork.layers` takes them.
    """
    formats = _formats(network.config)
    found = []
    for name, values in network.layers(spikes).items():
        option, fmt = formats.get(name.split(".")[0], ("", None))
        if fmt is None:
            continue
        beyond = (values < fmt.min * fmt.scale) | (values > fmt.max * fmt.scale)
        share = float(beyond.float().mean())
        if share > _FEW:
            largest = float(values.abs().max())
            found.append(Overflow(name=name, option=option, format=fmt, largest=largest, share=share))
    return found


def _formats(config: SpartaConfig) -> dict[str, tuple[str, FixedPoint]]:
    """Option and format by the part of a tensor's name before the dot."""
    return {
        "tokens": ("token_frac", config.token),
        "query": ("query_frac", config.query),
        "key": ("key_frac", config.key),
        "value": ("value_frac", config.value),
        "hidden": ("hidden_frac", config.hidden),
        "pooled": ("pooled_frac", config.pooled),
    }
