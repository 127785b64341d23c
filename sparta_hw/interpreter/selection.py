"""Token selection: patch grouping, STSG scores, dynamic K, top-K and the classifier's priority (paper eq. 6-8)."""

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.ir import CentreSurround, DynamicK, FuseScores, TokenMLP, TokenPriority
from sparta_hw.numerics import FixedPoint, saturate

__all__ = [
    "centre_surround",
    "dynamic_k",
    "fuse_scores",
    "grouped",
    "patch_group",
    "rank_tokens",
    "token_mlp",
    "token_priority",
]

IntArray = NDArray[np.int64]

_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)
_HIDDEN_MAX = (1 << CoreConfig.hidden_bits) - 1
_CUE_MAX = (1 << CoreConfig.cue_bits) - 1
_CENTRE_SHIFT = CoreConfig.inhibition_frac + 3
"""Eight neighbours share the surround's weight."""


def grouped(grid: IntArray, group: IntArray | None) -> IntArray:
    """Values (n, N) of the tokens, from values (n, grid tokens)."""
    return grid if group is None else np.take_along_axis(grid, group, axis=1)


def rank_tokens(scores: IntArray) -> IntArray:
    """All token indices (n, N) by score (n, N), larger first; equal ones by lower index."""
    return np.argsort(-scores, axis=1, kind="stable").astype(np.int64)


def patch_group(rate: IntArray, tokens: int) -> IntArray:
    """Grid token of each token, (n, tokens), from rates (n, grid tokens)."""
    order = rank_tokens(rate)
    return order[:, np.arange(tokens) % min(tokens, order.shape[1])]


def token_mlp(mlp: TokenMLP, *inputs: IntArray) -> IntArray:
    """Output, s12, of three inputs of one shape."""
    sums = np.stack(inputs, -1) @ mlp.hidden_weight.T + mlp.hidden_bias
    hidden = np.clip(sums >> mlp.hidden_shift, 0, _HIDDEN_MAX)
    return saturate((hidden @ mlp.weight + mlp.bias) >> mlp.shift, _SCORE)


def centre_surround(op: CentreSurround, rate: IntArray, group: IntArray | None) -> IntArray:
    """Rate (n, grid tokens) less that of its neighbours in the grid, (n, N)."""
    grid = rate.reshape(-1, op.height, op.width)
    padded = np.pad(grid, ((0, 0), (1, 1), (1, 1)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    block = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    competed = ((grid << _CENTRE_SHIFT) - op.inhibition * (block - grid)) >> _CENTRE_SHIFT
    return grouped(saturate(competed, _SCORE).reshape(rate.shape), group)


def fuse_scores(op: FuseScores, spatial: IntArray | None, msp: IntArray, temporal: IntArray) -> IntArray:
    """Score (n, N) of three scores (n, N)."""
    if op.mlp is None:
        return msp
    return token_mlp(op.mlp, np.zeros_like(msp) if spatial is None else spatial, msp, temporal)


def dynamic_k(op: DynamicK, first: IntArray, interval: IntArray, rate: IntArray) -> IntArray:
    """K (n, 1) from the cues (n, N) of the tokens."""
    tokens = first.shape[1]
    variance = tokens * (first**2).sum(axis=1) - first.sum(axis=1) ** 2
    deviation = np.array([isqrt(int(value)) for value in variance], np.int64) // tokens
    y = token_mlp(op.mlp, rate.sum(axis=1) // tokens, deviation, interval.sum(axis=1) // tokens)
    return op.table[(y >> CoreConfig.score_frac) + len(op.table) // 2][:, None]


def token_priority(
    op: TokenPriority, first: IntArray, interval: IntArray, rate: IntArray, gain: IntArray
) -> IntArray:
    """Priority (n, N) of cues and gains (n, N)."""
    gated_rate = np.minimum(rate * gain >> CoreConfig.gain_frac, _CUE_MAX)
    return token_mlp(op.mlp, first, interval, gated_rate)
