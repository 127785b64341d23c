"""Gated tokens and their pooled sum (paper eq. 9, STEN's timing-aware attention)."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.interpreter.frames import by_step
from sparta_hw.ir import GateSource, TokenGate, TokenPool
from sparta_hw.numerics import floor_shift, saturate

__all__ = ["gate", "pool", "rows", "score_bucket", "token_gain"]

IntArray = NDArray[np.int64]

_GAIN_MAX = (1 << CoreConfig.gain_bits) - 1
_BUCKET_SHIFT = CoreConfig.score_bits - 7


def score_bucket(score: IntArray) -> IntArray:
    """Index of a score in a table of 128 entries."""
    return (score >> _BUCKET_SHIFT) + 64


def token_gain(op: TokenGate, winners: IntArray, k: IntArray, msp: IntArray) -> IntArray:
    """Gain (n, N): alpha for the first K of ``winners`` (n, ranks), beta for others, times the timing table."""
    chosen = np.zeros(msp.shape, bool)
    np.put_along_axis(chosen, winners, np.arange(winners.shape[1]) < k[:, None], axis=1)
    gain = np.where(chosen, op.alpha, op.beta)
    if op.timing is None:
        return gain
    return np.minimum(gain * op.timing[score_bucket(msp)] >> CoreConfig.gain_frac, _GAIN_MAX)


def gate(op: TokenGate, spikes: dict[str, IntArray], gain: IntArray, group: IntArray | None) -> IntArray:
    """Spike counts (n, N, D) times the gains (n, N), from 0 to the largest value of the format."""
    counts = [_counts(source, spikes[source.spikes.name]) for source in op.sources]
    count = np.concatenate(counts, axis=2)
    if group is not None:
        count = rows(count, group)
    return saturate(floor_shift(count * gain.astype(np.int32)[:, :, None], op.shift), op.output.type)


def _counts(source: GateSource, spikes: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Spike counts (n, grid tokens, C)."""
    samples, _, channels, height, width = spikes.shape
    count = by_step(spikes).sum(axis=0, dtype=np.uint8).reshape(samples, height * width, channels)
    return count if source.cells is None else count[:, source.cells]


def rows(values: NDArray, index: IntArray) -> NDArray:
    """Rows ``index`` (n, ranks) of values (n, tokens, ...)."""
    return values[np.arange(len(values))[:, None], index]


def pool(op: TokenPool, tokens: IntArray, attended: IntArray) -> IntArray:
    """Features (n, D): sums over tokens (n, N, D) and attention rows (n, K, D) on one grid, shifted."""
    token_sum, attention_sum = (
        np.einsum("ntd->nd", values).astype(np.int64) for values in (tokens, attended)
    )
    total = (token_sum << op.token_shift) + (attention_sum << op.attention_shift)
    return saturate(floor_shift(total, op.shift), op.output.type)
