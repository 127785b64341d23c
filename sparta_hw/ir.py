"""The typed IR: operations named after the paper's parts, values with shape, fixed-point type and kind.

Shapes are per sample, without the batch dimension. A graph is a tuple of operations in execution order; each
produces exactly the values it names. Operations are frozen: a pass builds a new graph.
"""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from sparta_hw.numerics import FixedPoint

__all__ = [
    "Graph",
    "Kind",
    "Operation",
    "Projection",
    "SparseAttention",
    "SpikeCues",
    "SpikingConv",
    "TokenGate",
    "TokenPool",
    "TokenScore",
    "TopKTokens",
    "Value",
]

IntArray = NDArray[np.int64]


class Kind(Enum):
    """What the integers of a value are."""

    SPIKES = "spikes"
    """Zeros and ones over time, shape (T, C, H, W)."""
    INTEGERS = "integers"
    """Fixed-point numbers."""
    INDEX = "index"
    """Token indices in rank order."""


@dataclass(frozen=True)
class Value:
    """A named tensor of one sample.

    Parameters
    ----------
    name : str
        The tensor's name in the ONNX file and in reports.
    shape : tuple of int
        Without the batch dimension. K of a value that depends on it is the network's default K.
    type : FixedPoint
        Grid and range.
    kind : Kind
        Spikes, integers or indices.
    """

    name: str
    shape: tuple[int, ...]
    type: FixedPoint
    kind: Kind = Kind.INTEGERS

    def __str__(self) -> str:
        return f"{self.name}: {self.kind.value} {'x'.join(map(str, self.shape))} {self.type}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation:
    """One operation; ``node`` is the ONNX node users know it by."""

    node: str
    output: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikingConv(Operation):
    """Convolution over space of each time step, then HI-LIF over time (paper Algorithm 1).

    Parameters
    ----------
    input : Value
        Spikes (T, C, H, W). ``output`` is spikes (T, C', H', W').
    weight : int array (C', C, kernel height, kernel width)
        s8.
    bias : int array (C',)
        On the grid of the sums.
    shift : int
        Right shift from the grid of the sums to ``membrane``.
    stride, pad : int
        The same for both axes.
    leak : int array (C',)
        K = tau_inv * 2^8, 1 to 255.
    threshold : int array (C',)
        theta on the grid of ``membrane``, at least 1.
    soft_reset : bool
        Subtract the threshold instead of setting ``v_reset``.
    v_reset : int
        Membrane at the start and after a hard reset, on the grid of ``membrane``.
    membrane : FixedPoint
        s16.
    """

    input: Value
    weight: IntArray
    bias: IntArray
    shift: int
    stride: int
    pad: int
    leak: IntArray
    threshold: IntArray
    soft_reset: bool
    v_reset: int
    membrane: FixedPoint


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikeCues(Operation):
    """First, interval, burst and rate cue of each token (paper STEN); ``output`` is the first cue's value.

    ``outputs`` are the four values, each (N,) on grid 2^-3, in the order first, interval, burst, rate.
    """

    input: Value
    outputs: tuple[Value, Value, Value, Value]


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenScore(Operation):
    """Sum of one table look-up per cue (paper eq. 3-5 in the base-2 logarithm).

    ``tables`` has four rows (first, interval, burst, rate) of T * 8 + 1 entries, s11.4. ``output`` is (N,) s12.4.
    """

    inputs: tuple[Value, Value, Value, Value]
    tables: IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class TopKTokens(Operation):
    """Indices of the K largest scores in rank order; equal scores rank by lower index."""

    input: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenGate(Operation):
    """Spike counts times alpha (selected tokens) or beta (others), paper eq. 9; ``output`` is (N, D) u8.

    ``alpha`` and ``beta`` are u8.6; ``shift`` is the right shift of count * gain.
    """

    input: Value
    index: Value
    alpha: int
    beta: int
    shift: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection(Operation):
    """Linear layer; of the selected tokens when ``index`` is given, else of one vector.

    Parameters
    ----------
    input : Value
        (N, D) with ``index``, (D,) without.
    weight : int array (outputs, D)
        s8.
    bias : int array (outputs,)
        On the grid of the sums.
    shift : int
        Right shift before saturation to ``output.type``; 0 and no saturation for logits.
    """

    input: Value
    index: Value | None
    weight: IntArray
    bias: IntArray
    shift: int


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseAttention(Operation):
    """Base-2 softmax attention among the K selected tokens, the score as its mask (paper MSP and SC).

    ``shift`` takes a dot product to the score grid. ``output`` is (K, D) on the grid of ``value``.
    """

    query: Value
    key: Value
    value: Value
    score: Value
    index: Value
    shift: int


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenPool(Operation):
    """Sum over all gated tokens and all attention rows, then shift and saturate; ``output`` is (D,) s8.

    ``token_shift`` and ``attention_shift`` are left shifts onto a common grid, ``shift`` the final right shift.
    """

    tokens: Value
    attention: Value
    token_shift: int
    attention_shift: int
    shift: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A network: operations in execution order.

    Parameters
    ----------
    name : str
        For reports.
    input : Value
        Spikes (T, C, H, W).
    operations : tuple of Operation
        Each reads only values of earlier ones.
    default_k : int
        K when the user does not give one.
    """

    name: str
    input: Value
    operations: tuple[Operation, ...] = field(default_factory=tuple)
    default_k: int

    @property
    def tokens(self) -> int:
        """N, the token count."""
        return next(op.output.shape[0] for op in self.operations if isinstance(op, TokenScore))
