"""What a tensor of the ONNX graph stands for while the graph is read."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparta_hw.ir import CueScale, GateSource, ThresholdFeedback, Value
from sparta_hw.numerics import FixedPoint

__all__ = [
    "Attended",
    "Broken",
    "ChosenK",
    "Constant",
    "ConvSums",
    "Frames",
    "Gain",
    "GatePart",
    "GatedRate",
    "Grouped",
    "Integers",
    "Joined",
    "LinearSums",
    "Membranes",
    "MovedThresholds",
    "PoolSums",
    "RecordPart",
    "Result",
    "Symbol",
    "TokenSum",
    "Zeros",
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
    """A convolution after its quantiser.

    ``steps`` is T once the tensor is (T, batch, C, H, W), and 0 before; ``one_step`` marks (1, batch, C, H, W).
    """

    sums: ConvSums
    membrane: FixedPoint
    steps: int = 0
    one_step: bool = False


@dataclass(frozen=True, eq=False)
class MovedThresholds:
    """Thresholds that follow the feedback state; ``values`` are real numbers on grid ``frac``."""

    values: NDArray
    frac: int
    feedback: ThresholdFeedback


@dataclass(frozen=True, eq=False)
class RecordPart:
    """One field of the record of grid tokens, summed over some scales.

    ``field`` is msp, temporal, first, interval or rate; ``clipped``: saturated to s12.
    """

    node: str
    field: str
    scales: tuple[CueScale, ...]
    clipped: bool = False


@dataclass(frozen=True, eq=False)
class Grouped:
    """A field of the record for each token of the ``group``; ``name`` is the tensor of the grid tokens."""

    part: RecordPart
    name: str
    group: Value


@dataclass(frozen=True, eq=False)
class Zeros:
    """Zeros in place of a score."""


@dataclass(frozen=True, eq=False)
class ChosenK:
    """K of each sample: its own, or the one that was asked for."""


@dataclass(frozen=True, eq=False)
class Gain:
    """Gains of tokens before the gate; fields as in :class:`~sparta_hw.ir.TokenGate`."""

    value: Value
    index: Value
    msp: Value
    alpha: int
    beta: int
    timing: IntArray | None


@dataclass(frozen=True, eq=False)
class GatePart:
    """Gated features of one scale, ``frac`` fractional bits."""

    gain: Gain
    source: GateSource
    group: Value | None
    type: FixedPoint


@dataclass(frozen=True, eq=False)
class GatedRate:
    """Rate of tokens times their gain."""

    rate: Value
    gain: Value


@dataclass(frozen=True, eq=False)
class Joined:
    """Features of a token followed by its attention."""

    inputs: tuple[Value, Value]


@dataclass(frozen=True, eq=False)
class Attended:
    """Attention of several layers."""

    values: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class LinearSums:
    """Sums of a linear layer before its quantiser, on grid ``frac``; weight is (outputs, inputs)."""

    node: str
    inputs: tuple[Value, ...]
    weight: IntArray
    bias: IntArray | None
    frac: int

    @property
    def logits(self) -> bool:
        """Whether the input is one vector, not tokens."""
        return len(self.inputs[0].shape) == 1


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
    | MovedThresholds
    | RecordPart
    | Grouped
    | Zeros
    | ChosenK
    | Gain
    | GatePart
    | GatedRate
    | Joined
    | Attended
    | LinearSums
    | TokenSum
    | PoolSums
)
