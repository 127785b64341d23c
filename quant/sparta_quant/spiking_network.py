"""What every network is: spiking convolutions one after the other, trained in floats, then on grids, then deployed."""

import copy
from abc import abstractmethod
from typing import Self

import torch
from torch import Tensor

from sparta_quant.config import SpartaConfig
from sparta_quant.grid import GridModule, GridPart
from sparta_quant.integers import NetworkIntegers
from sparta_quant.stem import SpikingConv

__all__ = ["SpikingNetwork"]


class SpikingNetwork(GridModule):
    """A network on the fixed-point grids of ARCHITECTURE.md.

    A network is trained in floats, then on the grids (:meth:`quantize`), then deployed: :meth:`deploy`
    replaces every learned parameter by its integer. A deployed network is bit-exact in float32 and, after
    ``.double()``, in float64; its values times ``2**frac`` are the integers of the hardware.

    Parameters
    ----------
    config : SpartaConfig
        Shape and formats. Initial parameters come from torch's global generator.
    """

    def __init__(self, config: SpartaConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def from_integers(cls, integers: NetworkIntegers) -> Self:
        """A deployed network."""
        network = cls(integers.config)
        network.quantize()
        network._freeze(integers)
        return network

    def forward(self, spikes: Tensor, k: int | None = None, state: Tensor | None = None) -> Tensor:
        """Logits (batch, classes) of spikes (T, batch, C, H, W) or pixels (batch, C, H, W); ``k`` tokens attend."""
        return self.layers(spikes, k, state)["logits"]

    @abstractmethod
    def layers(self, spikes: Tensor, k: int | None = None, state: Tensor | None = None) -> dict[str, Tensor]:
        """Every named tensor of docs/dialect.md, in order of computation.

        Parameters
        ----------
        spikes : Tensor (T, batch, C, H, W)
            0 or 1; pixels (batch, C, H, W), 0 to 255, with direct coding.
        k : int or None
            Tokens that attend; 0, with dynamic K: each sample's own; None: ``default_k`` of the configuration.
        state : int64 Tensor (batch,) or None
            Of the feedback controller; zeros if None.

        Raises
        ------
        ConfigError
            ``k`` is not 1 to N, or 0 without dynamic K.
        """

    @abstractmethod
    def k_of(self, layers: dict[str, Tensor], k: int | None = None) -> Tensor:
        """K of each sample (batch,), int64, of the ``layers`` that were computed with ``k``; 0 without tokens."""

    @abstractmethod
    def integers(self) -> NetworkIntegers:
        """The parameters as integers."""

    @abstractmethod
    def _freeze(self, integers: NetworkIntegers) -> None:
        """Replace every learned parameter by its integer."""

    @abstractmethod
    def frac(self, name: str) -> int:
        """Fractional bits of the named tensor of :meth:`layers`; 0 for spikes, indices, K and the state."""

    @property
    @abstractmethod
    def spike_names(self) -> tuple[str, ...]:
        """Names of the tensors that are spikes (T, batch, C, H, W)."""

    @property
    @abstractmethod
    def spiking(self) -> list[SpikingConv]:
        """The spiking convolutions in the order of :attr:`spike_names`."""

    def firing_rates(self, layers: dict[str, Tensor]) -> dict[str, float]:
        """Mean spikes per neuron and step of each spiking layer."""
        return {name: float(layers[name].detach().mean()) for name in self.spike_names}

    def sparsity_loss(self, layers: dict[str, Tensor]) -> Tensor:
        """What pulls on the number of tokens that attend; zero without them."""
        return torch.zeros(())

    def quantize(self) -> None:
        """End the first phase of training: fold the normalisation, and compute on the grids from now on."""
        for stage in self.spiking:
            stage.fold_()
        for module in self.modules():
            if isinstance(module, GridModule):
                module.exact = True

    def clamp_(self) -> None:
        """Keep learned parameters inside their formats; call it after each optimiser step."""
        for module in self.modules():
            if isinstance(module, GridPart):
                module.clamp_()

    def calibrate_(self, spikes: Tensor) -> None:
        """Settle what depends on typical inputs of the quantised network."""

    def deploy(self) -> Self:
        """A copy whose parameters are integers: what is exported, and what the hardware must equal."""
        network = copy.deepcopy(self).float()
        network.quantize()
        if not network.deployed:
            network._freeze(network.integers())
        return network

    @property
    def deployed(self) -> bool:
        """Whether all parameters are integers."""
        return all(part.frozen for part in self.modules() if isinstance(part, GridPart))

    @torch.no_grad()
    def layer_integers(
        self, spikes: Tensor, k: int | None = None, state: Tensor | None = None
    ) -> dict[str, Tensor]:
        """:meth:`layers` of a deployed network as int64, each value times ``2**frac``."""
        return {
            name: torch.round(value.double() * 2.0 ** self.frac(name)).long()
            for name, value in self.layers(spikes, k, state).items()
        }
