"""Operations on the tokens that attend, and what follows from them."""

from dataclasses import dataclass

from sparta_hw.ir.values import IntArray, Operation, Value

__all__ = ["FeedbackController", "Projection", "SparseAttention", "TokenPool"]


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
