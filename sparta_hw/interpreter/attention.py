"""Projections, multi-head base-2 softmax attention among the selected tokens, feedback (paper SC)."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.interpreter.exact import exact_matmul
from sparta_hw.interpreter.gate import score_bucket
from sparta_hw.ir import FeedbackController, Projection, SparseAttention
from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE, FixedPoint, floor_shift, saturate

__all__ = ["attention", "next_state", "projection"]

IntArray = NDArray[np.int64]

_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)
_EXP = np.array(EXP_TABLE, np.int64)
_RECIPROCAL = np.array(RECIPROCAL_TABLE, np.int64)
_SHIFT_LIMIT = 15
"""Largest shift of the exponential's shifter: four bits."""
_ACTIVITY_MAX = (1 << 16) - 1


def projection(op: Projection, inputs: tuple[IntArray, ...]) -> IntArray:
    """Linear layer of the features of all inputs (n, ..., D); logits stay exact."""
    sums = exact_matmul(np.concatenate(inputs, axis=-1), op.weight.T) + op.bias
    return sums if op.logits else saturate(floor_shift(sums, op.shift), op.output.type)


def attention(
    op: SparseAttention, qkv: tuple[IntArray, ...], msp: IntArray, temporal: IntArray, k: IntArray
) -> IntArray:
    """Attention (n, ranks, D) of query, key, value (n, ranks, D); rows and columns from K (n,) on are out.

    ``msp`` and ``temporal`` (n, ranks) are the scores of the ranks' tokens.
    """
    query, key, value = (_heads(part, op.heads) for part in qkv)
    sharpness = np.full_like(temporal, 1 << CoreConfig.gain_frac)
    if op.temperature is not None:
        sharpness = op.temperature[score_bucket(temporal)]
    dots = saturate(floor_shift(exact_matmul(query, key.swapaxes(-1, -2)), op.shift), _SCORE)
    logits = (dots * sharpness[:, None, :, None] >> CoreConfig.gain_frac) + msp[:, None, None, :]
    logits = saturate(logits, _SCORE)

    taking_part = np.arange(msp.shape[1]) < k[:, None]
    columns = taking_part[:, None, None, :]
    distance = np.where(columns, logits, _SCORE.min).max(axis=-1, keepdims=True) - logits
    distance = np.where(columns, distance, 0)
    fraction = distance & (len(_EXP) - 1)
    weight = _EXP[fraction] >> np.minimum(distance >> CoreConfig.score_frac, _SHIFT_LIMIT)
    weight = np.where(columns, weight, 0)
    total = weight.sum(axis=-1, keepdims=True)
    exponent = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1
    mantissa = (total << CoreConfig.reciprocal_bits) >> exponent
    reciprocal = _RECIPROCAL[mantissa - len(_RECIPROCAL)]
    weighted = exact_matmul(weight, value)
    mixed = saturate((weighted * reciprocal) >> (exponent + CoreConfig.reciprocal_bits + 1), op.output.type)
    rows = mixed.swapaxes(1, 2).reshape(qkv[2].shape)
    return np.where(taking_part[:, :, None], rows, 0)


def _heads(values: IntArray, heads: int) -> IntArray:
    """(n, heads, ranks, D / heads) of (n, ranks, D)."""
    samples, ranks, features = values.shape
    return values.reshape(samples, ranks, heads, features // heads).swapaxes(1, 2)


def next_state(op: FeedbackController, attended: tuple[IntArray, ...], state: IntArray) -> IntArray:
    """State (n,) after this inference: a moving average of the attention's summed magnitudes."""
    magnitude = sum(np.abs(rows).sum(axis=(1, 2)) for rows in attended)
    activity = np.minimum(magnitude >> op.activity_shift, _ACTIVITY_MAX)
    error = (activity - op.target) << CoreConfig.state_frac
    return state + ((error - state) >> op.rate_shift)
