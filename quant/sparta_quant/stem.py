"""Spiking convolution: the same weights in every time step, then HI-LIF over time (paper STEN)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparta_quant.config import SpartaConfig, StemLayer
from sparta_quant.grid import GridModule, floor_quantizer
from sparta_quant.hilif import HILIF
from sparta_quant.integers import SpikingIntegers
from sparta_quant.weights import conv_weights

__all__ = ["SpikingConv"]

_SPIKE_GAIN = 4.0
"""Initial weights over spikes are large, because few spikes arrive."""
_PIXEL_GAIN = 1 / 32
"""Initial weights over pixels are small, because pixels reach 255."""

_DEVIATION = 2.0
"""Of normalised currents: with thresholds near 1, neurons of all layers fire from the first step of training on."""


class SpikingConv(GridModule):
    """``s = HILIF(sat_s16(floor(conv(spikes_t) + bias)))``, see ARCHITECTURE.md "Spiking convolution".

    In the first phase of training the sums are normalised over the batch::

        x = 2 (conv - mean) / deviation + bias

    A neuron does not change when its current and its threshold grow by the same factor, so that
    :meth:`fold_` moves the deviation into the thresholds and the mean into the biases; weights stay the same.

    Parameters
    ----------
    config : SpartaConfig
        Formats and priors.
    layer : StemLayer
        Shape.
    inputs : int
        Input channels.
    cell : int
        Sums over cells of ``cell x cell`` positions are convolved (adaptive pooling); 1: the positions.
    memory : bool
        False: neurons without memory (K = 255).
    direct : bool
        The input is pixels 0 to 255, which every step sees.

    Attributes
    ----------
    low_precision : bool
        The first phase of training has the convolution, its currents and its spikes in bfloat16.
    """

    def __init__(
        self,
        config: SpartaConfig,
        layer: StemLayer,
        inputs: int,
        *,
        cell: int = 1,
        memory: bool = True,
        direct: bool = False,
    ) -> None:
        super().__init__()
        self.shape = layer
        self.cell = cell
        self.direct = direct
        self.low_precision = False
        self._steps = config.timesteps
        gain = _PIXEL_GAIN if direct else _SPIKE_GAIN / cell
        self.conv = conv_weights(
            inputs, layer.channels, layer.kernel, config.membrane.frac, gain, config.weight_bits
        )
        self.normalise: nn.BatchNorm2d | None = nn.BatchNorm2d(layer.channels, affine=False)
        self.current = floor_quantizer(config.membrane)
        self.hilif = HILIF(
            layer.channels,
            soft=layer.reset == "soft",
            v_reset=config.layer_v_reset(layer),
            membrane=config.membrane,
            tau_mu=config.tau_mu,
            tau_sigma=config.tau_sigma,
            v_mu=config.v_mu,
            v_sigma=config.v_sigma,
            learn_priors=config.learn_priors,
            memory=memory,
        )

    def forward(self, spikes: Tensor, offset: Tensor | None = None) -> Tensor:
        """Spikes (T, batch, C', H', W') of spikes (T, batch, C, H, W) or pixels (batch, C, H, W).

        ``offset`` (batch,) moves the thresholds of each sample.
        """
        frames = spikes if self.direct else spikes.flatten(0, 1)
        x = self._currents(frames)
        steps = (1, len(spikes)) if self.direct else spikes.shape[:2]
        return self.hilif(x.unflatten(0, steps).expand(self._steps, -1, -1, -1, -1), offset)

    def _currents(self, frames: Tensor) -> Tensor:
        weight, bias = self.conv()
        if self.low_precision and self.training and not self.exact:
            frames, weight = frames.bfloat16(), weight.bfloat16()
        frames = frames.contiguous(memory_format=torch.channels_last)
        if self.cell > 1:
            frames = F.avg_pool2d(frames, self.cell, divisor_override=1)
        if self.normalise is not None:
            return self._normalised(self.normalise, self._convolved(frames, weight, None), bias)
        x = self._convolved(frames, weight, bias)
        return self.current(x) if self.exact else x

    def _normalised(self, statistics: nn.BatchNorm2d, x: Tensor, bias: Tensor | None) -> Tensor:
        return F.batch_norm(
            x,
            statistics.running_mean,
            statistics.running_var,
            weight=torch.full_like(bias, _DEVIATION) if bias is not None else None,
            bias=bias,
            training=statistics.training,
            momentum=statistics.momentum or 0.0,
            eps=statistics.eps,
        )

    def _convolved(self, frames: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(frames, weight, bias, stride=self.shape.stride, padding=self.shape.pad)

    @torch.no_grad()
    def fold_(self) -> None:
        """Move the normalisation into thresholds and biases; nothing changes when ``v_reset`` is zero."""
        if self.normalise is None:
            return
        statistics = self.normalise.state_dict()
        deviation = torch.sqrt(statistics["running_var"] + self.normalise.eps) / _DEVIATION
        self.hilif.rescale_(deviation)
        self.conv.layer.bias.mul_(deviation).sub_(statistics["running_mean"])
        self.normalise = None

    def integers(self) -> SpikingIntegers:
        """Weights and neurons as the hardware has them."""
        return SpikingIntegers(self.conv.integers(), self.hilif.integers())

    def freeze(self, integers: SpikingIntegers) -> None:
        """Replace the learned parameters by ``integers``."""
        self.conv.freeze(integers.conv)
        self.hilif.freeze(integers.hilif)
