"""Spiking convolution: the same weights in every time step, then HI-LIF over time (paper STEN)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparta_quant.config import SpartaConfig, StemLayer
from sparta_quant.grid import GridModule, floor_quantizer
from sparta_quant.hilif import HILIF
from sparta_quant.weights import conv_weights

__all__ = ["SpikingConv"]


class SpikingConv(GridModule):
    """``s = HILIF(sat_s16(floor(conv(spikes_t) + bias)))``, see ARCHITECTURE.md "Spiking convolution".

    In the first phase of training the sums are normalised over the batch::

        x = (conv - mean) / deviation + bias

    A neuron does not change when its current and its threshold grow by the same factor, so that
    :meth:`fold_` moves the deviation into the thresholds and the mean into the biases; weights stay the same.

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
        self.conv = conv_weights(inputs, layer.channels, layer.kernel, config.membrane.frac)
        self.normalise: nn.BatchNorm2d | None = nn.BatchNorm2d(layer.channels, affine=False)
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
        frames = spikes.flatten(0, 1)
        if self.normalise is None:
            x = self._convolved(frames, weight, bias)
        else:
            x = self.normalise(self._convolved(frames, weight, None)) + bias.view(-1, 1, 1)
        if self.exact:
            x = self.current(x)
        return self.hilif(x.unflatten(0, spikes.shape[:2]))

    def _convolved(self, frames: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(frames, weight, bias, stride=self.shape.stride, padding=self.shape.pad)

    @torch.no_grad()
    def fold_(self) -> None:
        """Move the normalisation into thresholds and biases; nothing changes when ``v_reset`` is zero."""
        if self.normalise is None:
            return
        statistics = self.normalise.state_dict()
        deviation = torch.sqrt(statistics["running_var"] + self.normalise.eps)
        self.hilif.v_th.mul_(deviation)
        self.conv.layer.bias.mul_(deviation).sub_(statistics["running_mean"])
        self.normalise = None
