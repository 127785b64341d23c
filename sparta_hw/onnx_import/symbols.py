"""What a tensor of the ONNX graph stands for while the graph is read."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparta_hw.ir import Value
from sparta_hw.numerics import FixedPoint

__all__ = [
    "Broken",
    "Constant",
    "ConvSums",
    "Frames",
    "Gathered",
    "Integers",
    "LinearSums",
    "Membranes",
    "PoolSums",
    "Result",
    "Symbol",
    "TokenSum",
]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Broken:
    """The result of a refused node; what reads it is not refused a second time."""


@dataclass(frozen=True, eq=False)
class Constant:
    """An initializer, or the value of a Constant node."""

    values: NDArray


@dataclass(frozen=True, eq=False)
class Integers:
    """A dequantised constant: ``values * 2**-frac``."""

    values: IntArray
    frac: int


@dataclass(frozen=True, eq=False)
class Result:
    """A value of the IR."""

    value: Value


@dataclass(frozen=True, eq=False)
class Frames:
    """Spikes (T, C, H, W) with time folded into the batch."""

    value: Value


@dataclass(frozen=True, eq=False)
class ConvSums:
    """Sums of a convolution before their quantiser, on grid ``frac``."""

    node: str
    input: Value
    weight: IntArray
    bias: IntArray
    frac: int
    stride: int
    pad: int
    shape: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Membranes:
    """A convolution after its quantiser; ``folded`` while time is in the batch."""

    sums: ConvSums
    membrane: FixedPoint
    folded: bool


@dataclass(frozen=True, eq=False)
class Gathered:
    """Tokens at the selected indices."""

    tokens: Value
    index: Value


@dataclass(frozen=True, eq=False)
class LinearSums:
    """Sums of a linear layer before its quantiser, on grid ``frac``; weight is (outputs, inputs)."""

    node: str
    input: Value
    index: Value | None
    weight: IntArray
    bias: IntArray | None
    frac: int


@dataclass(frozen=True, eq=False)
class TokenSum:
    """Sum of a value over its tokens."""

    node: str
    value: Value


@dataclass(frozen=True, eq=False)
class PoolSums:
    """Sum of the gated tokens plus sum of the attention rows."""

    node: str
    tokens: Value
    attention: Value


Symbol = (
    Broken
    | Constant
    | Integers
    | Result
    | Frames
    | ConvSums
    | Membranes
    | Gathered
    | LinearSums
    | TokenSum
    | PoolSums
)
