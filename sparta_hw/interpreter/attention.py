"""Projections, base-2 softmax attention among the selected tokens, and the pool."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.interpreter.exact import exact_matmul
from sparta_hw.ir import Projection, SparseAttention, TokenPool
from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE, FixedPoint, floor_shift, saturate

__all__ = ["attention", "pool", "projection"]

IntArray = NDArray[np.int64]

_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)
_EXP = np.array(EXP_TABLE, np.int64)
_RECIPROCAL = np.array(RECIPROCAL_TABLE, np.int64)
_SHIFT_LIMIT = 15
"""Largest shift of the exponential's shifter: four bits."""


def projection(op: Projection, values: IntArray, index: IntArray | None) -> IntArray:
    """Linear layer of values (n, N, D) at index (n, K), or of values (n, D); logits stay exact."""
    source = values if index is None else np.take_along_axis(values, index[:, :, None], axis=1)
    sums = exact_matmul(source, op.weight.T) + op.bias
    return sums if index is None else saturate(floor_shift(sums, op.shift), op.output.type)


def attention(
    op: SparseAttention, query: IntArray, key: IntArray, value: IntArray, mask: IntArray
) -> IntArray:
    """Attention (n, K, D) of query, key, value (n, K, D) and the scores of their tokens, mask (n, K)."""
    dots = exact_matmul(query, key.transpose(0, 2, 1))
    logits = saturate(floor_shift(dots, op.shift) + mask[:, None, :], _SCORE)
    distance = logits.max(axis=2, keepdims=True) - logits
    fraction = distance & (len(_EXP) - 1)
    weight = _EXP[fraction] >> np.minimum(distance >> CoreConfig.score_frac, _SHIFT_LIMIT)
    total = weight.sum(axis=2, keepdims=True)
    exponent = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1
    mantissa = (total << CoreConfig.reciprocal_bits) >> exponent
    reciprocal = _RECIPROCAL[mantissa - len(_RECIPROCAL)]
    weighted = exact_matmul(weight, value)
    return saturate((weighted * reciprocal) >> (exponent + CoreConfig.reciprocal_bits + 1), op.output.type)


def pool(op: TokenPool, tokens: IntArray, attended: IntArray) -> IntArray:
    """Features (n, D): sums over tokens (n, N, D) and attention rows (n, K, D) on one grid, shifted."""
    total = (tokens.sum(axis=1) << op.token_shift) + (attended.sum(axis=1) << op.attention_shift)
    return saturate(floor_shift(total, op.shift), op.output.type)
