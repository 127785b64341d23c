"""Token selection: cues of spike words, score, top-K, and the gate (paper eq. 3-5 and 9)."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.ir import TokenGate, TokenScore
from sparta_hw.numerics import floor_shift, saturate

__all__ = ["gate", "score", "spike_cues", "top_k"]

IntArray = NDArray[np.int64]


def spike_cues(spikes: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Cues first, interval, burst, rate, each (n, N) on grid 2^-3, of spikes (n, T, C, H, W)."""
    samples, steps, channels, height, width = spikes.shape
    words = spikes.reshape(samples, steps, channels, height * width)
    count = words.sum(axis=1)
    spiking = count > 0
    earliest = np.where(spiking, words.argmax(axis=1), steps)
    latest = steps - 1 - words[:, ::-1].argmax(axis=1)
    pairs = (words[:, 1:] & words[:, :-1]).sum(axis=1)

    span = np.where(spiking, latest - earliest, 0).sum(axis=1) << CoreConfig.cue_frac
    gaps = np.maximum(count - 1, 0).sum(axis=1)
    interval = np.where(gaps > 0, span // np.maximum(gaps, 1), steps << CoreConfig.cue_frac)
    first, burst, rate = (
        (part.sum(axis=1) << CoreConfig.cue_frac) // channels for part in (earliest, pairs, count)
    )
    return first, interval, burst, rate


def score(op: TokenScore, cues: tuple[IntArray, ...]) -> IntArray:
    """Sum of the four table entries that the cues (n, N) point to."""
    looked_up = [table[cue] for table, cue in zip(op.tables, cues, strict=True)]
    return np.sum(looked_up, axis=0)


def top_k(scores: IntArray, k: int) -> IntArray:
    """Indices (n, k) of the largest of scores (n, N) in rank order; equal ones rank by lower index."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int64)


def gate(op: TokenGate, spikes: IntArray, index: IntArray) -> IntArray:
    """Spike counts (n, N, D) times alpha for tokens in index (n, K), times beta for others."""
    count = spikes.sum(axis=1).reshape(len(spikes), *op.output.shape[::-1]).transpose(0, 2, 1)
    selected = np.zeros(count.shape[:2], bool)
    np.put_along_axis(selected, index, True, axis=1)
    gain = np.where(selected, op.alpha, op.beta)[:, :, None]
    return saturate(floor_shift(count * gain, op.shift), op.output.type)
