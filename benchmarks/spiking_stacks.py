"""One convolutional spiking network in three libraries, with the same weights where the neuron model allows."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import snntorch
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from sparta_quant.config import SpartaConfig
from sparta_quant.named import NAMED_NETWORKS
from sparta_quant.stem import SpikingConv

__all__ = ["Stack", "our_stack", "snntorch_stack", "spikingjelly_stack", "stack_config"]

CLASSES = 10


@dataclass(frozen=True)
class Stack:
    """A network: ``module`` has the parameters, ``forward`` gives logits, ``spikes`` the spikes of the last layer."""

    name: str
    module: nn.Module
    spikes: Callable[[Tensor], Tensor]

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (batch, classes) of spikes (T, batch, C, H, W): a linear layer on mean firing rates."""
        rates = self.spikes(inputs).mean((0, 3, 4))
        readout = self.module.get_submodule("readout")
        return readout(rates)


def stack_config(*, soft: bool) -> SpartaConfig:
    """The stem of the nmnist network, every layer with the same reset, one threshold for all neurons."""
    named = NAMED_NETWORKS["nmnist"]
    stem = tuple(replace(one, reset="soft" if soft else "hard") for one in named.stem)
    return replace(named, stem=stem, v_sigma=0.0)


class _Ours(nn.Module):
    def __init__(self, config: SpartaConfig) -> None:
        super().__init__()
        inputs = (config.input[0], *(one.channels for one in config.stem))
        self.layers = nn.ModuleList(
            SpikingConv(config, one, channels) for one, channels in zip(config.stem, inputs, strict=False)
        )
        self.readout = nn.Linear(config.stem[-1].channels, CLASSES)

    def spikes(self, inputs: Tensor) -> Tensor:
        for one in self.layers:
            inputs = one(inputs)
        return inputs


def our_stack(config: SpartaConfig, *, exact: bool = False) -> Stack:
    """SpikingConv layers, in floats or on the grids."""
    module = _Ours(config)
    if exact:
        for part in module.modules():
            if isinstance(part, SpikingConv):
                part.fold_()
            if hasattr(part, "exact"):
                part.exact = True
    return Stack("sparta_quant, on the grids" if exact else "sparta_quant", module, module.spikes)


def spikingjelly_stack(config: SpartaConfig, ours: Stack) -> Stack:
    """Multi-step layers and ParametricLIFNode with a time constant a channel; weights of ``ours``."""
    parts: list[nn.Module] = []
    for one, twin in _twins(config, ours):
        parts += [
            layer.SeqToANNContainer(*_convolution_and_norm(one)),
            neuron.ParametricLIFNode(
                v_reset=None if twin.hilif.soft else 0.0,
                surrogate_function=surrogate.ATan(),
                detach_reset=True,
                step_mode="m",
            ),
        ]
        tau_inv, _ = twin.hilif.values()
        parts[-1].w = nn.Parameter(torch.logit(tau_inv.detach()).view(-1, 1, 1))
    layers = nn.Sequential(*parts)
    module = nn.ModuleDict({"layers": layers, "readout": _same_readout(ours)})

    def spikes(inputs: Tensor) -> Tensor:
        functional.reset_net(layers)
        return layers(inputs)

    return Stack("spikingjelly", module, spikes)


def snntorch_stack(config: SpartaConfig, ours: Stack) -> Stack:
    """Leaky neurons with a learned beta a channel, in a loop over time; its neurons do not scale their input."""
    convolutions, neurons = nn.ModuleList(), nn.ModuleList()
    for one, twin in _twins(config, ours):
        convolutions.append(nn.Sequential(*_convolution_and_norm(one)))
        tau_inv, _ = twin.hilif.values()
        neurons.append(
            snntorch.Leaky(
                beta=(1 - tau_inv.detach()).view(-1, 1, 1),
                learn_beta=True,
                spike_grad=snntorch.surrogate.atan(alpha=2.0),
                reset_mechanism="subtract" if twin.hilif.soft else "zero",
            )
        )
    module = nn.ModuleDict({"convolutions": convolutions, "neurons": neurons, "readout": _same_readout(ours)})

    def spikes(inputs: Tensor) -> Tensor:
        membranes = [one.init_leaky() for one in neurons]
        outputs = []
        for x in inputs:
            for n, (convolution, one) in enumerate(zip(convolutions, neurons, strict=True)):
                x, membranes[n] = one(convolution(x), membranes[n])
            outputs.append(x)
        return torch.stack(outputs)

    return Stack("snnTorch", module, spikes)


def _twins(config: SpartaConfig, ours: Stack) -> list[tuple[SpikingConv, SpikingConv]]:
    layers = ours.module.get_submodule("layers")
    return [(one, one) for one in layers.children() if isinstance(one, SpikingConv)]


def _convolution_and_norm(one: SpikingConv) -> tuple[nn.Module, nn.Module]:
    """The same sums: weights of the convolution; normalised to the deviation of our currents, with its bias."""
    source = one.conv.layer
    convolution = nn.Conv2d(
        source.in_channels,
        source.out_channels,
        source.kernel_size,
        one.shape.stride,
        one.shape.pad,
        bias=False,
    )
    norm = nn.BatchNorm2d(source.out_channels)
    with torch.no_grad():
        convolution.weight.copy_(source.weight)
        norm.weight.fill_(2.0)
        norm.bias.copy_(source.bias)
    return convolution, norm


def _same_readout(ours: Stack) -> nn.Linear:
    readout = nn.Linear(ours.module.get_submodule("readout").in_features, CLASSES)
    readout.load_state_dict(ours.module.get_submodule("readout").state_dict())
    return readout
