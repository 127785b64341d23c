"""A plain spiking network: a chain of spiking layers, and the spike counts of the last one as its answer."""

import torch
from torch import Tensor, nn

from sparta_hw.errors import ConfigError
from sparta_quant.config import SpartaConfig
from sparta_quant.integers import NetworkIntegers
from sparta_quant.spiking_network import SpikingNetwork
from sparta_quant.stem import SpikingConv
from sparta_quant.sten import spiking_layers

__all__ = ["PlainNetwork"]


class PlainNetwork(SpikingNetwork):
    """``logits[c] = sum_t s[t, c]`` of the last layer, which has one neuron a class.

    Fully connected layers are convolutions whose kernel covers their input.

    Parameters
    ----------
    config : SpartaConfig
        With ``readout="counts"``.
    """

    def __init__(self, config: SpartaConfig) -> None:
        super().__init__(config)
        self.stem = nn.ModuleList(spiking_layers(config).values())

    def layers(self, spikes: Tensor, k: int | None = None, state: Tensor | None = None) -> dict[str, Tensor]:
        if k:
            raise ConfigError(
                f"network {self.config.name!r} counts spikes, it has no tokens: k must be 0, not {k}"
            )
        layers: dict[str, Tensor] = {}
        for name, stage in zip(self.spike_names, self.stem, strict=True):
            layers[name] = spikes = stage(spikes)
        layers["logits"] = spikes.sum(0).flatten(1)
        return layers

    def k_of(self, layers: dict[str, Tensor], k: int | None = None) -> Tensor:
        return torch.zeros(len(layers["logits"]), dtype=torch.int64)

    def integers(self) -> NetworkIntegers:
        if not self.exact:
            return self.deploy().integers()
        return NetworkIntegers(config=self.config, spiking=tuple(stage.integers() for stage in self.spiking))

    def _freeze(self, integers: NetworkIntegers) -> None:
        for stage, values in zip(self.spiking, integers.spiking, strict=True):
            stage.freeze(values)
        self.eval()

    def frac(self, name: str) -> int:
        return 0

    @property
    def spike_names(self) -> tuple[str, ...]:
        return tuple(f"stem.{n}" for n in range(len(self.config.stem)))

    @property
    def spiking(self) -> list[SpikingConv]:
        return [stage for stage in self.stem if isinstance(stage, SpikingConv)]
