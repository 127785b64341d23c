"""Cues of spike words and the records of grid tokens (paper STEN and MSP, eq. 3-5)."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.ir import TokenScore, Value
from sparta_hw.numerics import FixedPoint, saturate

__all__ = ["records", "spike_cues"]

IntArray = NDArray[np.int64]

_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)


def spike_cues(spikes: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Cues first, interval, burst, rate, each (n, positions) on grid 2^-3, of spikes (n, T, C, H, W)."""
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


def records(op: TokenScore, values: dict[str, IntArray]) -> list[IntArray]:
    """MSP, temporal, first, interval, rate, each (n, grid tokens): table entries and cues added over the scales."""
    msp, temporal, first, interval, rate = (np.zeros((), np.int64) for _ in range(5))
    for scale in op.scales:
        cues = [_on_grid(values, cue, scale.cells) for cue in scale.cues]
        msp = msp + sum(table[cue] for table, cue in zip(scale.msp_tables, cues, strict=True))
        temporal = temporal + sum(table[cue] for table, cue in zip(scale.temporal_tables, cues, strict=True))
        first, interval, rate = first + cues[0], interval + cues[1], rate + cues[3]
    return [saturate(msp, _SCORE), saturate(temporal, _SCORE), first, interval, rate]


def _on_grid(values: dict[str, IntArray], cue: Value, cells: IntArray | None) -> IntArray:
    cues = values[cue.name]
    return cues if cells is None else cues[:, cells]
