"""Cues of spike words and the records of grid tokens (paper STEN and MSP, eq. 3-5)."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.interpreter.frames import by_step
from sparta_hw.ir import TokenScore, Value
from sparta_hw.numerics import FixedPoint, saturate

__all__ = ["records", "spike_cues"]

IntArray = NDArray[np.int64]

_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)


def spike_cues(spikes: NDArray[np.integer]) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Cues first, interval, burst, rate, each (n, positions) on grid 2^-3, of spikes (n, T, C, H, W), T below 256."""
    samples, steps, channels, height, width = spikes.shape
    trains = by_step(spikes).reshape(steps, samples, height * width, channels)
    spike_count = trains.sum(axis=0, dtype=np.uint8)
    spiking, count = _total((spike_count > 0).view(np.uint8)), _total(spike_count)
    pairs = _total((trains[1:] & trains[:-1]).sum(axis=0, dtype=np.uint8))
    from_first, up_to_last = (_total(_steps_from_first(order)) for order in (trains, trains[::-1]))

    # last - first of a neuron that spikes is from_first + up_to_last - (T + 1).
    span = from_first + up_to_last - (steps + 1) * spiking << CoreConfig.cue_frac
    gaps = count - spiking
    interval = np.where(gaps > 0, span // np.maximum(gaps, 1), steps << CoreConfig.cue_frac)
    first, burst, rate = (
        (total << CoreConfig.cue_frac) // channels for total in (steps * channels - from_first, pairs, count)
    )
    return first, interval, burst, rate


def _steps_from_first(trains: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Steps from the first spike on, 0 of a silent neuron, of spikes (T, ...)."""
    seen, steps = np.zeros_like(trains[0]), np.zeros_like(trains[0])
    for spikes in trains:
        seen |= spikes
        steps += seen
    return steps


def _total(neurons: NDArray[np.uint8]) -> IntArray:
    """Sum over all channels; faster than ``sum`` of small integers."""
    return np.einsum("npc->np", neurons, dtype=np.int64, casting="safe")


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
