"""Cycles of a whole inference: the units' formulas, and the sequencer between them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination, Op, decode
from sparta_hw.program import Program
from sparta_hw.tensor_layout import TensorLayout
from sparta_rtl.feedback import FEEDBACK_CYCLES
from sparta_rtl.sequencer import FETCH_CYCLES, HANDOVER_CYCLES
from sparta_sim.cycles.array import STREAMED_BEGIN, layer_times
from sparta_sim.cycles.attention import attend_cycles
from sparta_sim.cycles.selection import rank_cycles, score_cycles
from sparta_sim.cycles.stream import WeightStream
from sparta_sim.cycles.tokens import gate_cycles, gather_cycles, pool_cycles
from sparta_sim.tensor_map import layer_inputs

__all__ = ["Prediction", "entry_words", "layer_words", "predict"]


@dataclass(frozen=True)
class Prediction:
    """Modelled cycles of one inference, when the result stream never stalls.

    Parameters
    ----------
    layer_cycles, layer_entries, layer_copied : tuple of int
        Cycles from start to done, active entries, and positions that copy their spikes
        (:class:`~sparta_sim.cycles.array.LayerTimes`), of each descriptor but END.
    layer_stalls : tuple of int
        Cycles of ``layer_cycles`` in which tiles wait for streamed weights.
    waits : int
        Cycles in which the next descriptor is there, but cues are still on their way to memory, or results to the host.
    """

    layer_cycles: tuple[int, ...]
    layer_entries: tuple[int, ...]
    layer_copied: tuple[int, ...]
    layer_stalls: tuple[int, ...]
    waits: int

    @property
    def cycles(self) -> int:
        """Of the inference: all units, the fetch of each descriptor and of END (``sequencer.py``), and the waits."""
        units = len(self.layer_cycles)
        return sum(self.layer_cycles) + units * HANDOVER_CYCLES + (units + 1) * FETCH_CYCLES + self.waits


def entry_words(layout: TensorLayout, values: NDArray, config: CoreConfig) -> NDArray[np.int64]:
    """Words of all entries of a tensor in the spike memory, entry 0 first: bit t is step (or plane) t."""
    lines = np.ascontiguousarray(layout.pack(values, config), "<u4").view(np.uint8)
    flat = np.unpackbits(lines, axis=1, bitorder="little", count=config.line * config.steps)
    grouped = flat.reshape(-1, layout.groups, config.line, config.steps).swapaxes(1, 2)
    bits = grouped.reshape(-1, layout.groups * config.steps).astype(np.int64)
    return (bits << np.arange(bits.shape[1])).sum(axis=1)


def layer_words(
    layouts: tuple[TensorLayout, ...], tensors: Mapping[str, NDArray], config: CoreConfig
) -> NDArray[np.int64]:
    """Words of what a LAYER descriptor reads; ranks that a sample does not have are zero."""
    parts = []
    for layout in layouts:
        values = np.zeros(layout.shape, np.int64)
        found = np.asarray(tensors[layout.name])
        values[tuple(slice(size) for size in found.shape)] = found
        parts.append(entry_words(layout, values, config))
    return np.concatenate(parts)


def predict(
    program: Program, tensors: Mapping[str, NDArray], k: int, request: int, latency: int | None = None
) -> Prediction:
    """Cycles of each descriptor for one sample.

    Parameters
    ----------
    program : Program
        The network on its core.
    tensors : mapping of str to int array
        Integers of one sample by name, as the core holds them (``core_tensors.py``), the input among them.
    k : int
        Tokens that attend.
    request : int
        K that the host asks for; 0: the sample's own.
    latency : int, optional
        Of the external memory that weights stream from, see :class:`~sparta_sim.cycles.stream.MemoryTiming`; without
        it they are always there.
    """
    config = program.config
    inputs = layer_inputs(program)
    cycles: list[int] = []
    entries: list[int] = []
    copies: list[int] = []
    stalls: list[int] = []
    waits = 0
    stream = None
    if config.stream_bits and latency is not None:
        stream = WeightStream(config, len(program.weights), latency)
    for at, word in enumerate(program.descriptors):
        fields = decode(word)
        active = copied = stalled = 0
        match fields["op"]:
            case Op.LAYER:
                words = layer_words(inputs[at], tensors, config)
                count, active, copied, cue_delay = layer_times(config, fields, words, k)
                gap = config.lanes + 1 if fields["destination"] == Destination.LOGITS else 0
                start = sum(cycles) + at * HANDOVER_CYCLES + (at + 1) * FETCH_CYCLES + waits + 1
                count, stalled = _tiles(config, fields, count, gap, stream, start)
                earlier = (fields["tiles"] - 1) * fields["slots"] * config.fire_lanes
                if fields["destination"] == Destination.COUNTS:
                    count += earlier
                    waits += max(fields["outputs"] - earlier - FETCH_CYCLES - 1, 0)
                if fields["destination"] == Destination.LOGITS:
                    waits += max(fields["outputs"] - earlier - FETCH_CYCLES, 0)
                if fields["cues"]:
                    waits += max(cue_delay - FETCH_CYCLES, 0)
            case Op.SCORE:
                count = score_cycles(fields)
            case Op.RANK:
                count = rank_cycles(config, fields, k, request)
            case Op.GATE:
                count = gate_cycles(config, fields)
            case Op.GATHER:
                count = gather_cycles(fields, k)
            case Op.FEEDBACK:
                count = FEEDBACK_CYCLES
            case Op.ATTEND:
                count = attend_cycles(config, fields, k)
            case Op.POOL:
                count = pool_cycles(config, fields)
            case Op.END:
                break
        cycles.append(count)
        entries.append(active)
        copies.append(copied)
        stalls.append(stalled)
    return Prediction(tuple(cycles), tuple(entries), tuple(copies), tuple(stalls), waits)


def _tiles(
    config: CoreConfig,
    fields: Mapping[str, int],
    cycles: int,
    gap: int,
    stream: WeightStream | None,
    start: int,
) -> tuple[int, int]:
    """Cycles of a layer that begins in cycle ``start``, and those of them in which its tiles wait for their weights.

    A tile ends at least ``gap`` cycles after the one before: its P logits wait for those, which leave one a cycle.
    """
    tiles, pitch = fields["tiles"], fields["weight_pitch"]
    first = STREAMED_BEGIN if config.stream_bits else 0
    alone, end = (cycles - first) // tiles, start + first
    stalled, earliest = 0, 0
    for _ in range(tiles):
        if stream:
            begin = max(end, stream.rows_there(pitch) + 1)
            stalled += begin - end
            end = begin
        end = max(end + alone, earliest)
        earliest = end + gap
        if stream:
            stream.release(pitch, end)
    return end - start, stalled
