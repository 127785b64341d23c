"""Projections, multi-head base-2 softmax attention among the selected tokens, feedback (paper SC)."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.interpreter.compiled import compiled
from sparta_hw.interpreter.exact import exact_matmul, weights_of
from sparta_hw.interpreter.gate import score_bucket
from sparta_hw.ir import FeedbackController, Projection, SparseAttention
from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE, FixedPoint, floor_shift, saturate

__all__ = ["attention", "next_state", "projection"]

IntArray = NDArray[np.int64]
Narrow = NDArray[np.int32]
Integers = NDArray[np.signedinteger]

_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)
_SHIFT_LIMIT = 15
"""Largest shift of the exponential's shifter: four bits."""
_EXP = np.array(
    [EXP_TABLE[d % len(EXP_TABLE)] >> d // len(EXP_TABLE) for d in range(len(EXP_TABLE) * _SHIFT_LIMIT + 1)],
    np.int32,
)
"""Weight of a score by its distance to the largest one; zero at the end, and from there on."""
_RECIPROCAL = np.array(RECIPROCAL_TABLE, np.int64)
_ACTIVITY_MAX = (1 << 16) - 1


def projection(op: Projection, inputs: tuple[Integers, ...]) -> Integers:
    """Linear layer of the features of all inputs (n, ..., D); logits stay exact."""
    features = inputs[0] if len(inputs) == 1 else np.concatenate(inputs, axis=-1)
    sums = exact_matmul(features, weights_of(op), op.inputs[0].type.magnitude)
    sums += op.bias.astype(sums.dtype)
    return sums if op.logits else saturate(floor_shift(sums, op.shift), op.output.type)


def attention(
    op: SparseAttention, qkv: tuple[Integers, ...], msp: Integers, temporal: Integers, k: IntArray
) -> Narrow:
    """Attention (n, ranks, D) of query, key, value (n, ranks, D), s8; rows and columns from K (n,) on are out.

    ``msp`` and ``temporal`` (n, ranks) are the scores of the ranks' tokens.
    """
    samples, ranks, features = qkv[0].shape
    heads = (samples, ranks, op.heads, features // op.heads)
    query, key, value = (np.ascontiguousarray(part, np.int32).reshape(heads) for part in qkv)
    sharpness = np.full(msp.shape, 1 << CoreConfig.gain_frac)
    if op.temperature is not None:
        sharpness = op.temperature[score_bucket(temporal)]
    attended = np.zeros_like(value)
    tokens = (query, key, value, sharpness.astype(np.int32), msp.astype(np.int32), k)
    _attend(*tokens, op.shift, CoreConfig.gain_frac, _SCORE.max, _EXP, _RECIPROCAL, attended)
    return attended.reshape(qkv[2].shape)


@compiled
def _attend(
    query: Narrow,
    key: Narrow,
    value: Narrow,
    sharpness: Narrow,
    mask: Narrow,
    k: IntArray,
    shift: int,
    gain_frac: int,
    largest_score: int,
    exp: Narrow,
    reciprocal: IntArray,
    attended: Narrow,
) -> None:
    """Write ``attended`` of query, key, value (n, ranks, heads, E), one row of a head after the other."""
    int32 = np.int32
    samples, ranks, heads, size = query.shape
    score, mixed = np.empty(ranks, int32), np.empty(size, np.int64)
    for n in range(samples):
        for head in range(heads):
            for i in range(k[n]):
                for j in range(k[n]):
                    q, other, dot = query[n, i, head], key[n, j, head], int32(0)
                    for e in range(size):
                        dot = int32(dot + int32(q[e] * other[e]))
                    score[j] = dot
                for j in range(k[n]):
                    sharp = _saturate(score[j] >> shift, largest_score) * sharpness[n, i] >> gain_frac
                    score[j] = _saturate(sharp + mask[n, j], largest_score)
                largest, total = score[: k[n]].max(), 0
                mixed[:] = 0
                for j in range(k[n]):
                    weight, other = exp[min(largest - score[j], len(exp) - 1)], value[n, j, head]
                    total += weight
                    for e in range(size):
                        mixed[e] += int32(weight * other[e])
                exponent = 0
                while total >> exponent > 1:
                    exponent += 1
                mantissa = total * len(reciprocal) >> exponent
                scale = reciprocal[mantissa - len(reciprocal)]
                for e in range(size):
                    attended[n, i, head, e] = _saturate(mixed[e] * scale >> exponent + 8, 127)


@compiled
def _saturate(value: int, largest: int) -> int:
    return min(max(value, -largest - 1), largest)


def next_state(op: FeedbackController, attended: tuple[Integers, ...], state: IntArray) -> IntArray:
    """State (n,) after this inference: a moving average of the attention's summed magnitudes."""
    magnitude = sum(np.abs(rows).sum(axis=(1, 2)) for rows in attended)
    activity = np.minimum(magnitude >> op.activity_shift, _ACTIVITY_MAX)
    error = (activity - op.target) << CoreConfig.state_frac
    return state + ((error - state) >> op.rate_shift)
