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
from sparta_sim.cycles.array import LayerTimes, Surroundings, layer_times
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
    layer_tiles : tuple of tuple of (int, int)
        When each tile begins and when the last of its weights is read, since the descriptor's start.
    waits : int
        Cycles in which the next descriptor is there, but cues are still on their way to memory, or results to the host.
    """

    layer_cycles: tuple[int, ...]
    layer_entries: tuple[int, ...]
    layer_copied: tuple[int, ...]
    layer_stalls: tuple[int, ...]
    layer_tiles: tuple[tuple[tuple[int, int], ...], ...]
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
    times: list[LayerTimes] = []
    waits = 0
    stream = None
    if config.stream_bits and latency is not None:
        stream = WeightStream(config, len(program.weights), latency)
    for at, word in enumerate(program.descriptors):
        fields = decode(word)
        match fields["op"]:
            case Op.LAYER:
                words = layer_words(inputs[at], tensors, config)
                start = (
                    sum(done.cycles for done in times)
                    + at * HANDOVER_CYCLES
                    + (at + 1) * FETCH_CYCLES
                    + waits
                    + 1
                )
                of_tile = fields["slots"] * config.fire_lanes
                around = Surroundings(
                    stream,
                    start,
                    gap=config.lanes + 1 if fields["destination"] == Destination.LOGITS else 0,
                    hold=of_tile if fields["destination"] == Destination.COUNTS else 0,
                )
                layer = layer_times(config, fields, words, k, around)
                earlier = (fields["tiles"] - 1) * of_tile
                if fields["destination"] == Destination.COUNTS:
                    waits += max(fields["outputs"] - earlier - FETCH_CYCLES - 1, 0)
                if fields["destination"] == Destination.LOGITS:
                    waits += max(fields["outputs"] - earlier - FETCH_CYCLES, 0)
                if fields["cues"]:
                    waits += max(layer.cue_delay - FETCH_CYCLES, 0)
            case Op.SCORE:
                layer = LayerTimes(score_cycles(fields))
            case Op.RANK:
                layer = LayerTimes(rank_cycles(config, fields, k, request))
            case Op.GATE:
                layer = LayerTimes(gate_cycles(config, fields))
            case Op.GATHER:
                layer = LayerTimes(gather_cycles(fields, k))
            case Op.FEEDBACK:
                layer = LayerTimes(FEEDBACK_CYCLES)
            case Op.ATTEND:
                layer = LayerTimes(attend_cycles(config, fields, k))
            case Op.POOL:
                layer = LayerTimes(pool_cycles(config, fields))
            case Op.END:
                break
        times.append(layer)
    return Prediction(
        tuple(layer.cycles for layer in times),
        tuple(layer.entries for layer in times),
        tuple(layer.copied for layer in times),
        tuple(layer.stalls for layer in times),
        tuple(layer.tiles for layer in times),
        waits,
    )
