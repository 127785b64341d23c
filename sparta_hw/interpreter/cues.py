"""Cues of spike words and the records of grid tokens (paper STEN and MSP, eq. 3-5)."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.interpreter.compiled import compiled
from sparta_hw.interpreter.frames import by_step
from sparta_hw.ir import TokenScore, Value
from sparta_hw.numerics import FixedPoint, saturate

__all__ = ["records", "spike_cues"]

IntArray = NDArray[np.int64]

_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)


def spike_cues(spikes: NDArray[np.integer]) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Cues first, interval, burst, rate, each (n, positions) on grid 2^-3, of spikes (n, T, C, H, W), T below 256."""
    samples, steps, channels, height, width = spikes.shape
    cues = np.empty((4, samples, height * width), np.int64)
    _cues(by_step(spikes).reshape(steps, samples, height * width * channels), CoreConfig.cue_frac, cues)
    first, interval, burst, rate = cues
    return first, interval, burst, rate


@compiled
def _cues(spikes: NDArray[np.uint8], frac: int, cues: IntArray) -> None:
    """Cues (4, n, positions) of spikes (T, n, positions C); a short loop for each byte of a word: they are fast."""
    byte = np.uint8
    steps, samples, size = spikes.shape
    positions = cues.shape[2]
    channels = size // positions
    first, last, pairs, count = np.empty((4, size), byte)
    for n in range(samples):
        first[:] = steps
        last[:] = steps
        pairs[:] = 0
        count[:] = 0
        for t in range(steps):
            now, before = spikes[t, n], spikes[max(t - 1, 0), n]
            for i in range(size):
                first[i] = byte(t) if now[i] > count[i] else first[i]
            for i in range(size):
                last[i] = byte(t) if now[i] else last[i]
            for i in range(size):
                count[i] += now[i]
            if t:
                for i in range(size):
                    pairs[i] += now[i] & before[i]
        for p in range(positions):
            word = slice(p * channels, (p + 1) * channels)
            begin, end, pair, spike = first[word], last[word], pairs[word], count[word]
            f = a = u = r = g = 0
            for c in range(channels):
                f += begin[c]
                a += end[c] - begin[c]
                u += pair[c]
                r += spike[c]
                g += max(spike[c], byte(1)) - 1
            cues[0, n, p] = (f << frac) // channels
            cues[1, n, p] = (a << frac) // g if g else steps << frac
            cues[2, n, p] = (u << frac) // channels
            cues[3, n, p] = (r << frac) // channels


def records(op: TokenScore, values: dict[str, IntArray]) -> list[IntArray]:
    """MSP, temporal, first, interval, rate, each (n, grid tokens): table entries and cues added over the scales."""
    msp, temporal, first, interval, rate = (np.zeros((), np.int64) for _ in range(5))
    for scale in op.scales:
        cues = [_on_grid(values, cue, scale.cells) for cue in scale.cues]
        msp = msp + sum(table.take(cue) for table, cue in zip(scale.msp_tables, cues, strict=True))
        temporal = temporal + sum(
            table.take(cue) for table, cue in zip(scale.temporal_tables, cues, strict=True)
        )
        first, interval, rate = first + cues[0], interval + cues[1], rate + cues[3]
    return [saturate(msp, _SCORE), saturate(temporal, _SCORE), first, interval, rate]


def _on_grid(values: dict[str, IntArray], cue: Value, cells: IntArray | None) -> IntArray:
    cues = values[cue.name]
    return cues if cells is None else cues[:, cells]
