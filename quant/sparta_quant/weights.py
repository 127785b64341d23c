"""Weights on a power-of-two scale, by Brevitas, and biases on the grid of the sums."""

import math

import numpy as np
import torch
from brevitas.nn import QuantConv2d, QuantLinear
from brevitas.quant.fixed_point import Int8WeightPerTensorFixedPoint
from torch import Tensor

from sparta_hw.config import CoreConfig
from sparta_hw.errors import UnsupportedError
from sparta_hw.numerics import FixedPoint
from sparta_quant.grid import GridPart, round_to
from sparta_quant.integers import WeightIntegers

__all__ = ["Weights", "conv_weights", "linear_weights"]

_LARGEST_FRAC = 20


def _quantiser(bits: int) -> type[Int8WeightPerTensorFixedPoint]:
    """Brevitas quantiser of signed weights; the smallest scale keeps all shifts below 32."""
    fields = {"bit_width": bits, "scaling_min_val": 2.0**-_LARGEST_FRAC}
    return type(f"Weight{bits}", (Int8WeightPerTensorFixedPoint,), fields)


class Weights(GridPart[WeightIntegers]):
    """The weights and biases of one layer.

    Parameters
    ----------
    layer : QuantConv2d or QuantLinear
        Owns the learned weights, their Brevitas quantiser and the learned bias.
    input_frac : int
        Fractional bits of the layer's input.
    output_frac : int or None
        Fractional bits its sums are floored to. Weights are limited so that this is a shift to the right;
        None where sums stay as they are.
    gain : float
        Factor on PyTorch's initial weights.
    bits : int
        Width of a weight.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        layer: QuantConv2d | QuantLinear,
        input_frac: int,
        output_frac: int | None,
        gain: float,
        bits: int = CoreConfig.max_weight_bits,
    ) -> None:
        super().__init__()
        self.layer = layer
        with torch.no_grad():
            self.layer.weight.mul_(gain)
        self._input_frac = input_frac
        self._bits = bits
        self._smallest_frac = -8 if output_frac is None else output_frac - input_frac
        self.clamp_()

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep the learned weights where their scale needs no shift to the left."""
        limit = 2.0 ** (self._bits - 1 - self._smallest_frac)
        self.layer.weight.clamp_(-limit, limit)

    def forward(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias as real numbers, on their grids when ``exact``."""
        if self.frozen:
            return self.weight, self.bias
        if not self.exact:
            return self.layer.weight, self.layer.bias
        weight = self.layer.quant_weight()
        return weight.value, self._grid_bias(_frac_of(weight.scale))

    def _grid_bias(self, frac: int) -> Tensor | None:
        if self.layer.bias is None:
            return None
        return round_to(self.layer.bias, FixedPoint(CoreConfig.bias_bits, frac + self._input_frac))

    def round(self) -> WeightIntegers:
        quantized = self.layer.quant_weight()
        frac = _frac_of(quantized.scale)
        bias = self._grid_bias(frac)
        return WeightIntegers(
            quantized.int().detach().numpy().astype(np.int64),
            frac,
            None if bias is None else _integers(bias, frac + self._input_frac),
        )

    def reals(self, integers: WeightIntegers) -> dict[str, Tensor | None]:
        if integers.frac < self._smallest_frac:
            raise UnsupportedError(
                f"weights with {integers.frac} fractional bits would need a shift to the left: "
                f"this layer needs at least {self._smallest_frac}"
            )
        bias_scale = 2.0 ** -(integers.frac + self._input_frac)
        return {
            "weight": torch.from_numpy(integers.weight).float() * 2.0**-integers.frac,
            "bias": None if integers.bias is None else torch.from_numpy(integers.bias).float() * bias_scale,
        }

    def freeze(self, integers: WeightIntegers) -> None:
        super().freeze(integers)
        del self.layer


def conv_weights(inputs: int, outputs: int, kernel: int, output_frac: int, gain: float, bits: int) -> Weights:
    """Weights of ``bits`` of a convolution over integers; ``gain`` multiplies PyTorch's initial weights."""
    layer = QuantConv2d(inputs, outputs, kernel, bias=True, weight_quant=_quantiser(bits))
    return Weights(layer, input_frac=0, output_frac=output_frac, gain=gain, bits=bits)


def linear_weights(
    inputs: int, outputs: int, *, bias: bool, input_frac: int, output_frac: int | None
) -> Weights:
    """Weights of a linear layer; those of logits start small, because pooled features are sums."""
    layer = QuantLinear(inputs, outputs, bias=bias, weight_quant=_quantiser(CoreConfig.max_weight_bits))
    return Weights(layer, input_frac, output_frac, gain=0.01 if output_frac is None else 1.0)


def _frac_of(scale: Tensor) -> int:
    return -round(math.log2(scale.item()))


def _integers(values: Tensor, frac: int) -> np.ndarray:
    return torch.round(values.detach().double() * 2.0**frac).numpy().astype(np.int64)
