"""Projections, multi-head base-2 softmax attention among the selected tokens, feedback (paper SC)."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.interpreter.exact import exact_matmul, weights_of
from sparta_hw.interpreter.gate import score_bucket
from sparta_hw.ir import FeedbackController, Projection, SparseAttention
from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE, FixedPoint, floor_shift, saturate

__all__ = ["attention", "next_state", "projection"]

IntArray = NDArray[np.int64]
Integers = NDArray[np.signedinteger]

_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)
_SHIFT_LIMIT = 15
"""Largest shift of the exponential's shifter: four bits."""
_EXP = np.array(
    [EXP_TABLE[d % len(EXP_TABLE)] >> d // len(EXP_TABLE) for d in range(len(EXP_TABLE) * _SHIFT_LIMIT + 1)],
    np.int32,
)
"""Weight of a score by its distance to the largest one; zero at the end, and from there on."""
_OUT = 2 << CoreConfig.score_bits
"""Taken from scores of ranks that do not take part: below every other score by more than weights reach."""
_RECIPROCAL = np.array(RECIPROCAL_TABLE, np.int64)
_ACTIVITY_MAX = (1 << 16) - 1


def projection(op: Projection, inputs: tuple[Integers, ...]) -> Integers:
    """Linear layer of the features of all inputs (n, ..., D); logits stay exact."""
    sums = exact_matmul(np.concatenate(inputs, axis=-1), weights_of(op))
    sums += op.bias.astype(sums.dtype)
    return sums if op.logits else saturate(floor_shift(sums, op.shift), op.output.type)


def attention(
    op: SparseAttention, qkv: tuple[Integers, ...], msp: Integers, temporal: Integers, k: IntArray
) -> Integers:
    """Attention (n, ranks, D) of query, key, value (n, ranks, D); rows and columns from K (n,) on are out.

    ``msp`` and ``temporal`` (n, ranks) are the scores of the ranks' tokens.
    """
    query, key, value = (_heads(part, op.heads) for part in qkv)
    taking_part = np.arange(msp.shape[1]) < k[:, None]

    logits = saturate(
        floor_shift(exact_matmul(query, key.swapaxes(-1, -2), op.query.type.magnitude), op.shift), _SCORE
    )
    if op.temperature is not None:
        logits *= op.temperature.astype(logits.dtype)[score_bucket(temporal)][:, None, :, None]
        logits >>= CoreConfig.gain_frac
    logits += msp.astype(logits.dtype)[:, None, None, :]
    logits = saturate(logits, _SCORE)
    logits -= np.where(taking_part, 0, _OUT).astype(logits.dtype)[:, None, None, :]
    weight = _EXP.take(logits.max(axis=-1, keepdims=True) - logits, mode="clip")

    total = weight.sum(axis=-1, keepdims=True, dtype=np.int64)
    exponent = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1
    mantissa = (total << CoreConfig.reciprocal_bits) >> exponent
    reciprocal = _RECIPROCAL[mantissa - len(_RECIPROCAL)]
    weighted = exact_matmul(weight, value, EXP_TABLE[0])
    mixed = saturate((weighted * reciprocal) >> (exponent + CoreConfig.reciprocal_bits + 1), op.output.type)
    rows = mixed.swapaxes(1, 2).reshape(qkv[2].shape)
    return rows * taking_part[:, :, None]


def _heads(values: Integers, heads: int) -> Integers:
    """(n, heads, ranks, D / heads) of (n, ranks, D)."""
    samples, ranks, features = values.shape
    return values.reshape(samples, ranks, heads, features // heads).swapaxes(1, 2)


def next_state(op: FeedbackController, attended: tuple[Integers, ...], state: IntArray) -> IntArray:
    """State (n,) after this inference: a moving average of the attention's summed magnitudes."""
    magnitude = sum(np.abs(rows).sum(axis=(1, 2)) for rows in attended)
    activity = np.minimum(magnitude >> op.activity_shift, _ACTIVITY_MAX)
    error = (activity - op.target) << CoreConfig.state_frac
    return state + ((error - state) >> op.rate_shift)
