"""Operations that score, select and gate tokens."""

from dataclasses import dataclass

from sparta_hw.ir.values import IntArray, Operation, Value

__all__ = [
    "CentreSurround",
    "CueScale",
    "DynamicK",
    "FuseScores",
    "GateSource",
    "GatherTokens",
    "PatchGroup",
    "TokenGate",
    "TokenMLP",
    "TokenPriority",
    "TokenScore",
    "TopKTokens",
]


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
