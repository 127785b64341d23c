"""Trace records back into the tensors they came from."""

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination
from sparta_hw.tensor_layout import Memory, TensorLayout, words_per_line

__all__ = ["Event", "Trace", "Traced", "trace_tensor"]

HEAD_WORDS = 5
"""Kind, descriptor, cycle, a and b precede a record's mask and data."""

DESTINATIONS = {
    Memory.QUERY: Destination.QUERY,
    Memory.KEY: Destination.KEY,
    Memory.VALUE: Destination.VALUE,
}

IntArray = NDArray[np.int64]
Records = NDArray[np.uint32]


class Event(IntEnum):
    """First word of a trace record, as harness.cpp writes it."""

    SPIKES = 1
    VALUES = 2
    SCORE = 3
    SELECT = 4
    ATTENTION = 5
    RECORD = 6


@dataclass(frozen=True)
class Traced:
    """A tensor as the hardware produced it.

    Parameters
    ----------
    values : int array
        Meaningless where nothing was written.
    written : bool array
        Same shape; false where the hardware produced nothing, or not all bits.
    stray : str
        What was written outside of the tensor, or empty.
    """

    values: IntArray
    written: NDArray[np.bool_]
    stray: str = ""


@dataclass(frozen=True)
class Trace:
    """Trace of one sample.

    Parameters
    ----------
    config : CoreConfig
        Gives the widths of lines and rows.
    records : uint32 array (events, words)
        See :class:`sparta_sim.simulation.Inferences`.
    mask_words : int
        Words of a record's mask.
    """

    config: CoreConfig
    records: Records
    mask_words: int

    def select(self, event: Event, descriptors: tuple[int, ...]) -> Records:
        """Records of one kind while one of the descriptors was in progress."""
        during = np.isin(self.records[:, 1], descriptors)
        return self.records[(self.records[:, 0] == event) & during]

    def masks(self, records: Records, bits: int) -> NDArray[np.bool_]:
        """Masks of records, shape (records, bits)."""
        return _bits(records[:, HEAD_WORDS : HEAD_WORDS + self.mask_words])[:, :bits].astype(bool)

    def data(self, records: Records) -> Records:
        """Data words of records."""
        return records[:, HEAD_WORDS + self.mask_words :]


_RECORD_FIELDS = {
    Memory.MSP: (0, 0),
    Memory.TEMPORAL: (0, 16),
    Memory.FIRST: (1, 0),
    Memory.INTERVAL: (1, 16),
    Memory.RATE: (2, 0),
}
"""Data word and lowest bit of each number of a RECORD event."""


def trace_tensor(trace: Trace, layout: TensorLayout, k: int) -> Traced:
    """One tensor from the events of the descriptors that produce it.

    Parameters
    ----------
    trace : Trace
        Events of one sample.
    layout : TensorLayout
        Any tensor but the input, the logits and the feedback state (these are read through the host port).
    k : int
        Tokens that attended, the first axis of tensors of selected tokens.
    """
    match layout.memory:
        case Memory.SPIKES:
            return _lines(trace, layout)
        case Memory.SCORE | Memory.SPATIAL:
            records = trace.select(Event.SCORE, layout.descriptors)
            low = 16 * (layout.memory is Memory.SPATIAL)
            values = _signed(trace.data(records)[:, 0] >> np.uint32(low), 16)
            return _scatter(records[:, 3:4], values, layout.shape, "token")
        case Memory.SELECT | Memory.GROUP:
            records = trace.select(Event.SELECT, layout.descriptors)
            shape = (k,) if layout.memory is Memory.SELECT else layout.shape
            return _scatter(records[:, 3:4], trace.data(records)[:, 0].astype(np.int64), shape, "rank")
        case Memory.DYNAMIC_K:
            records = trace.select(Event.SELECT, layout.descriptors)[:1]
            return _scatter(np.zeros((len(records), 1), np.uint32), records[:, 4].astype(np.int64), (1,), "K")
        case Memory.ATTENTION:
            return _attention(trace, layout, k)
        case Memory.QUERY | Memory.KEY | Memory.VALUE:
            return _rows(trace, layout, k)
    word, low = _RECORD_FIELDS[layout.memory]
    records = trace.select(Event.RECORD, layout.descriptors)
    values = _signed(trace.data(records)[:, word] >> np.uint32(low), 16)
    return _scatter(records[:, 3:4], values, layout.shape, "token")


def _bits(words: Records) -> NDArray[np.uint8]:
    as_bytes = np.ascontiguousarray(words.astype("<u4")).view(np.uint8)
    return np.unpackbits(as_bytes, axis=1, bitorder="little")


def _signed(values: Records, bits: int) -> IntArray:
    low = values.astype(np.int64) & (1 << bits) - 1
    return low - ((low >> bits - 1) << bits)


def _lines(trace: Trace, layout: TensorLayout) -> Traced:
    """Rebuild the tensor's lines segment by segment, and in a second image mark what was written."""
    config = trace.config
    segments, width = config.segments, config.line * config.steps
    records = trace.select(Event.SPIKES, layout.descriptors)
    line = records[:, 3].astype(np.int64) - layout.base
    inside = (line >= 0) & (line < layout.lines)
    stray = "" if inside.all() else f"line {int(line[~inside][0]) + layout.base}"
    records, line = records[inside], line[inside]
    content, marks = np.zeros((2, layout.lines, segments, width // segments), np.uint8)
    data = _bits(trace.data(records))[:, :width].reshape(-1, segments, width // segments)
    masks = trace.masks(records, segments)
    for segment in range(segments):
        rows = masks[:, segment]
        content[line[rows], segment] = data[rows, segment]
        marks[line[rows], segment] = 1

    def unpack(image: NDArray[np.uint8]) -> IntArray:
        padding = 32 * words_per_line(config) - width
        bits = np.pad(image.reshape(layout.lines, width), ((0, 0), (0, padding)))
        return layout.unpack(np.packbits(bits, axis=1, bitorder="little").view("<u4"), config)

    return Traced(unpack(content), unpack(marks) == unpack(np.ones_like(marks)), stray)


def _rows(trace: Trace, layout: TensorLayout, k: int) -> Traced:
    """Query, key or value: rows of P features, row = rank * pitch / P + chunk."""
    lanes, chunks = trace.config.lanes, layout.pitch // trace.config.lanes
    records = trace.select(Event.VALUES, layout.descriptors)
    row = records[:, 3].astype(np.int64)
    inside = (row < k * chunks) & (records[:, 4] == DESTINATIONS[layout.memory])
    stray = "" if inside.all() else "destination {1}, row {0}".format(*records[~inside][0, 3:5])
    values, written = np.zeros((k * chunks, lanes), np.int64), np.zeros((k * chunks, lanes), bool)
    data = np.ascontiguousarray(trace.data(records[inside]).astype("<u4"))
    values[row[inside]] = data.view(np.int8)[:, :lanes]
    written[row[inside]] = True
    features = layout.shape[1]
    return Traced(values.reshape(k, -1)[:, :features], written.reshape(k, -1)[:, :features], stray)


def _attention(trace: Trace, layout: TensorLayout, k: int) -> Traced:
    """Attention rows; features of padding up to the pitch are produced too, and ignored."""
    records = trace.select(Event.ATTENTION, layout.descriptors)
    traced = _scatter(
        records[:, 3:5], _signed(trace.data(records)[:, 0], 8), (k, layout.pitch), "rank and feature"
    )
    features = layout.shape[1]
    return replace(traced, values=traced.values[:, :features], written=traced.written[:, :features])


def _scatter(index: Records, data: IntArray, shape: tuple[int, ...], what: str) -> Traced:
    inside = (index < np.array(shape)).all(axis=1)
    stray = "" if inside.all() else f"{what} {', '.join(map(str, index[~inside][0]))}"
    values, written = np.zeros(shape, np.int64), np.zeros(shape, bool)
    at = tuple(index[inside].T)
    values[at], written[at] = data[inside], True
    return Traced(values, written, stray)
