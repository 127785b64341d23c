"""Fixed-point grids in PyTorch: rounding with straight-through gradients, parts that freeze to integers."""

from abc import abstractmethod
from typing import Generic, TypeVar

import torch
from brevitas.inject.enum import (
    FloatToIntImplType,
    RestrictValueType,
    ScalingImplType,
    ScalingPerOutputType,
)
from brevitas.nn import QuantIdentity
from brevitas.quant.base import IntQuant, UintQuant
from brevitas.quant.solver import ActQuantSolver
from torch import Tensor, nn

from sparta_hw.numerics import FixedPoint

__all__ = ["GridModule", "GridPart", "exact_ste", "floor_quantizer", "floor_ste", "round_to"]

Integers = TypeVar("Integers")


def exact_ste(value: Tensor, soft: Tensor) -> Tensor:
    """``value``, to the bit, with the gradient of ``soft`` (straight-through estimator)."""
    return value.detach() + (soft - soft.detach())


def floor_ste(value: Tensor, frac: int) -> Tensor:
    """``value`` rounded down to the grid ``2**-frac``, with the gradient of the identity."""
    return exact_ste(torch.floor(value.detach() * 2.0**frac) * 2.0**-frac, value)


def round_to(value: Tensor, fmt: FixedPoint, low: int | None = None) -> Tensor:
    """A learned parameter on its grid: nearest integer of ``fmt``, at least ``low``; identity gradient."""
    integers = torch.round(value.detach() * 2.0**fmt.frac).clamp(fmt.min if low is None else low, fmt.max)
    return exact_ste(integers * fmt.scale, value)


def floor_quantizer(fmt: FixedPoint) -> QuantIdentity:
    """Brevitas activation quantiser that rounds down to ``fmt`` and saturates.

    Its scale is the constant ``2**-frac``; gradients pass where it does not saturate.
    """
    injector = type(
        "FloorQuantizer",
        (IntQuant if fmt.signed else UintQuant, ActQuantSolver),
        {
            "scaling_impl_type": ScalingImplType.CONST,
            "scaling_per_output_type": ScalingPerOutputType.TENSOR,
            "restrict_scaling_type": RestrictValueType.POWER_OF_TWO,
            "bit_width": fmt.bits,
            "scaling_init": 2.0 ** (fmt.bits - int(fmt.signed) - fmt.frac),
            "float_to_int_impl_type": FloatToIntImplType.FLOOR,
        },
    )
    return QuantIdentity(act_quant=injector)


class GridModule(nn.Module):
    """A module that computes in real numbers, or on the fixed-point grids.

    Attributes
    ----------
    exact : bool
        Compute on the grids. False in the first phase of training.
    """

    def __init__(self) -> None:
        super().__init__()
        self.exact = False


class GridPart(GridModule, Generic[Integers]):
    """A part of the network whose parameters are learned, then frozen as integers."""

    def __init__(self) -> None:
        super().__init__()
        self._integers: Integers | None = None

    @property
    def frozen(self) -> bool:
        """Whether the parameters are integers and can no longer be trained."""
        return self._integers is not None

    def integers(self) -> Integers:
        """The parameters as the hardware has them."""
        return self.round() if self._integers is None else self._integers

    def freeze(self, integers: Integers) -> None:
        """Replace the learned parameters by ``integers``."""
        for name in [name for name, _ in self.named_parameters(recurse=False)]:
            delattr(self, name)
        for name, value in self.reals(integers).items():
            self.register_buffer(name, value, persistent=False)
        self._integers = integers

    def clamp_(self) -> None:
        """Keep the learned parameters inside their formats; call it after each optimiser step."""

    @abstractmethod
    def round(self) -> Integers:
        """The learned parameters, rounded to integers."""

    @abstractmethod
    def reals(self, integers: Integers) -> dict[str, Tensor | None]:
        """Real values of ``integers``: the buffers that replace the learned parameters."""
