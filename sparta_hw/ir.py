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
    "CentreSurround",
    "CueScale",
    "DynamicK",
    "FeedbackController",
    "FuseScores",
    "GateSource",
    "GatherTokens",
    "Graph",
    "Kind",
    "Operation",
    "PatchGroup",
    "Projection",
    "SparseAttention",
    "SpikeCues",
    "SpikingConv",
    "ThresholdFeedback",
    "TokenGate",
    "TokenMLP",
    "TokenPool",
    "TokenPriority",
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
        Without the batch dimension. Values in rank order have :attr:`Graph.ranks` rows.
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


@dataclass(frozen=True, kw_only=True)
class ThresholdFeedback:
    """Thresholds move by ``clamp(((state >> 8) * gain) >> 8, -limit, limit)``; gain u8, limit u12."""

    gain: int
    limit: int


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikingConv(Operation):
    """Convolution over space, then HI-LIF over time (paper Algorithm 1).

    Spikes are convolved step by step. An integer image is convolved once, and every step sees the same current
    (direct coding).

    Parameters
    ----------
    input : Value
        Spikes (T, C, H, W), or u8 integers (C, H, W). ``output`` is spikes (T, C', H', W').
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
    feedback : ThresholdFeedback or None
        How the feedback controller moves the thresholds.
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
    feedback: ThresholdFeedback | None = None

    @property
    def direct(self) -> bool:
        """Whether the input is an integer image, the same in every step."""
        return self.input.kind is Kind.INTEGERS


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikeCues(Operation):
    """First, interval, burst and rate cue of each position of one scale (paper STEN).

    ``outputs`` are the four values, each (positions,) on grid 2^-3, in the order first, interval, burst, rate;
    ``output`` is the first of them.
    """

    input: Value
    outputs: tuple[Value, Value, Value, Value]


@dataclass(frozen=True, kw_only=True, eq=False)
class CueScale:
    """One scale of MSP.

    Parameters
    ----------
    cues : four Values
        First, interval, burst, rate, each (positions,).
    msp_tables, temporal_tables : int array (4, T * 8 + 1)
        s11.4, one row a cue.
    cells : int array (N_grid,) or None
        Position of each grid token in this scale (pooled branch); None: the same position.
    """

    cues: tuple[Value, Value, Value, Value]
    msp_tables: IntArray
    temporal_tables: IntArray
    cells: IntArray | None


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenScore(Operation):
    """MSP and temporal score of each grid token, and its cues summed over the scales (paper eq. 3-5).

    ``outputs`` are msp s12.4, temporal s12.4, first, interval, rate (sums of cues, grid 2^-3), each (N_grid,);
    ``output`` is ``msp``.
    """

    scales: tuple[CueScale, ...]
    outputs: tuple[Value, Value, Value, Value, Value]


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchGroup(Operation):
    """Grid token of each of N tokens: ranked by rate, the best ones again when there are too few (paper MSP)."""

    rate: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class CentreSurround(Operation):
    """Spatial competition of rates on the token grid (paper STSG); ``output`` is (N,) s12.3.

    ``inhibition`` is u7.6; ``height`` and ``width`` are those of the grid.
    """

    rate: Value
    group: Value | None
    height: int
    width: int
    inhibition: int


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenMLP:
    """Three inputs, eight hidden units with ReLU, one output (``Numbers`` of ARCHITECTURE.md).

    Parameters
    ----------
    hidden_weight : int array (8, 3)
        s8.
    hidden_bias : int array (8,)
        s24.
    hidden_shift : int
        Right shift before the hidden units saturate to u11.
    weight : int array (8,)
        s8.
    bias : int
        s24.
    shift : int
        Right shift before the output saturates to s12.
    """

    hidden_weight: IntArray
    hidden_bias: IntArray
    hidden_shift: int
    weight: IntArray
    bias: int
    shift: int


@dataclass(frozen=True, kw_only=True, eq=False)
class FuseScores(Operation):
    """Score that STSG ranks by (paper eq. 8); ``output`` is (N,) s12.4.

    Without ``mlp`` it is the MSP score of each token; without ``spatial`` the first input of the MLP is 0.
    """

    spatial: Value | None
    msp: Value
    temporal: Value
    group: Value | None
    mlp: TokenMLP | None


@dataclass(frozen=True, kw_only=True, eq=False)
class DynamicK(Operation):
    """K of a sample from its cues (paper eq. 6-7); ``output`` is (1,).

    ``table`` (256,) is K for the MLP's output >> 4, from -128.
    """

    first: Value
    interval: Value
    rate: Value
    group: Value | None
    mlp: TokenMLP
    table: IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class TopKTokens(Operation):
    """Indices of the K largest scores in rank order; equal scores rank by lower index."""

    input: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class GateSource:
    """Spikes of some of a token's features; ``cells`` as in :class:`CueScale`."""

    spikes: Value
    cells: IntArray | None


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenGate(Operation):
    """Spike counts times a gain for each token (paper eq. 9, STEN's timing-aware attention).

    Parameters
    ----------
    sources : tuple of GateSource
        Their channels, one after the other, are the D features.
    index : Value
        Tokens that STSG selected.
    group : Value or None
        Grid token of each token.
    alpha, beta : int
        u8.6, for selected and other tokens.
    msp : Value
        Points into ``timing``.
    timing : int array (128,) or None
        u8.6, for the MSP score >> 5, from -64.
    shift : int
        Right shift of count * gain.
    gain : Value
        (N,) u8.6, the second result. ``output`` is (N, D), from 0 to the largest value of its type.
    """

    sources: tuple[GateSource, ...]
    index: Value
    group: Value | None
    alpha: int
    beta: int
    msp: Value
    timing: IntArray | None
    shift: int
    gain: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenPriority(Operation):
    """Score that the sparse classifier ranks by (paper SC): an MLP of first, interval and gated rate, s12.4."""

    first: Value
    interval: Value
    rate: Value
    gain: Value
    group: Value | None
    mlp: TokenMLP


@dataclass(frozen=True, kw_only=True, eq=False)
class GatherTokens(Operation):
    """Gated tokens of the ``index``, in rank order: (K, D)."""

    tokens: Value
    index: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection(Operation):
    """Linear layer of the selected tokens or of one vector.

    Parameters
    ----------
    inputs : tuple of Value
        One, or two of the same shape whose features follow one another: (K, D), or (D,).
    weight : int array (outputs, inputs * D)
        s8.
    bias : int array (outputs,)
        On the grid of the sums.
    shift : int
        Right shift before saturation to ``output.type``; 0 and no saturation for logits.
    """

    inputs: tuple[Value, ...]
    weight: IntArray
    bias: IntArray
    shift: int

    @property
    def logits(self) -> bool:
        """Whether this is the classifier, whose sums stay as they are."""
        return len(self.output.shape) == 1


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseAttention(Operation):
    """Multi-head base-2 softmax attention among the K selected tokens (paper SC), MSP scores as its mask.

    Parameters
    ----------
    query, key, value : Value
        (K, D) s8; head h has features h * D / heads and up. ``output`` is (K, D) on the grid of ``value``.
    msp, temporal : Value
        (N_grid,): the mask, and what points into ``temperature``.
    index, group : Value
        Token of each rank, grid token of each token.
    heads : int
        Divides D.
    shift : int
        Right shift of a dot product onto the score grid.
    temperature : int array (128,) or None
        u8.6, sharpness for the temporal score >> 5, from -64; None: 1 for every token.
    """

    query: Value
    key: Value
    value: Value
    msp: Value
    temporal: Value
    index: Value
    group: Value | None
    heads: int
    shift: int
    temperature: IntArray | None


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
class FeedbackController(Operation):
    """Moving average of the attention's activity, as distance from its target (paper "Feedback Controller").

    ``attention`` are the results of all attention layers, ``output`` (1,) the state after this inference, s26.8.
    ``activity_shift``, ``rate_shift`` and ``target`` (u16) as in ARCHITECTURE.md.
    """

    attention: tuple[Value, ...]
    activity_shift: int
    rate_shift: int
    target: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A network: operations in execution order.

    Parameters
    ----------
    name : str
        For reports.
    input : Value
        Spikes (T, C, H, W), or integers u8 (C, H, W) for direct coding.
    operations : tuple of Operation
        Each reads only values of earlier ones.
    default_k : int
        K when the user does not give one; 0: each sample's own (:class:`DynamicK`).
    """

    name: str
    input: Value
    operations: tuple[Operation, ...] = field(default_factory=tuple)
    default_k: int

    @property
    def tokens(self) -> int:
        """N, the token count."""
        return next(op.output.shape[0] for op in self.operations if isinstance(op, FuseScores))

    @property
    def grid_tokens(self) -> int:
        """Positions of the token grid."""
        return next(op.output.shape[0] for op in self.operations if isinstance(op, TokenScore))

    @property
    def ranks(self) -> int:
        """Rows of the values in rank order: the default K, or N where each sample has its own."""
        return self.default_k or self.tokens

    @property
    def dynamic(self) -> bool:
        """Whether the network can choose K itself."""
        return any(isinstance(op, DynamicK) for op in self.operations)

    @property
    def feedback(self) -> bool:
        """Whether an inference leaves a state for the next one."""
        return any(isinstance(op, FeedbackController) for op in self.operations)
