"""Spiking convolution: the same weights in every time step, then HI-LIF over time (paper STEN)."""

import torch.nn.functional as F
from torch import Tensor, nn

from sparta_quant.config import SpartaConfig, StemLayer
from sparta_quant.grid import floor_quantizer
from sparta_quant.hilif import HILIF
from sparta_quant.weights import conv_weights

__all__ = ["SpikingConv"]


class SpikingConv(nn.Module):
    """``s = HILIF(sat_s16(floor(conv(spikes_t) + bias)))``, see ARCHITECTURE.md "Spiking convolution".

    Parameters
    ----------
    config : SpartaConfig
        Formats.
    layer : StemLayer
        Shape.
    inputs : int
        Input channels.
    """

    def __init__(self, config: SpartaConfig, layer: StemLayer, inputs: int) -> None:
        super().__init__()
        self.shape = layer
        self.exact = True
        self.conv = conv_weights(inputs, layer.channels, layer.kernel, config.membrane.frac)
        self.current = floor_quantizer(config.membrane)
        self.hilif = HILIF(
            layer.channels,
            soft=layer.reset == "soft",
            v_reset=config.layer_v_reset(layer),
            membrane=config.membrane,
            v_mu=config.v_mu,
        )

    def forward(self, spikes: Tensor) -> Tensor:
        """Spikes (T, batch, C', H', W') of spikes (T, batch, C, H, W)."""
        weight, bias = self.conv()
        x = F.conv2d(spikes.flatten(0, 1), weight, bias, stride=self.shape.stride, padding=self.shape.pad)
        if self.exact:
            x = self.current(x)
        return self.hilif(x.unflatten(0, spikes.shape[:2]))
