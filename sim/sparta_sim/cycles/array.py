"""Cycles of a LAYER descriptor, ``start`` to ``done``: the times of ``neuron_array.py``, line by line."""

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination
from sparta_rtl.scanner import QUEUE_LINES
from sparta_sim.cycles.firing import FireTimes, copies_silent
from sparta_sim.windows import positions

__all__ = ["STREAMED_BEGIN", "LayerTimes", "layer_cycles", "layer_times"]

STREAMED_BEGIN = 1
"""From ``start`` to the first tile's begin, where weights are streamed."""

_FIRST_ROW = 6
"""From the tile's begin to its first row: columns, clip, row, product, line address, row register."""
_NEW_POSITION = 2
"""Columns, clip."""
_READ = 4
"""From a line's read to the queue's output of the one before it: block RAM, register, mask, queue."""
_HELD = 5
"""The same of a group's last line itself."""
_SUMS = 5
"""From a group's last entry to its sums: place, weight address, weight RAM, register, accumulator."""


class _Row(NamedTuple):
    """Entries ``low .. high - 1``, ``gap`` cycles after the row before; empty if ``high <= low``."""

    gap: int
    low: int
    high: int


class LayerTimes(NamedTuple):
    """Of one LAYER descriptor.

    Parameters
    ----------
    cycles, entries : int
        As :func:`layer_cycles` returns them.
    copied : int
        Positions, times tiles, that take one step for the spikes of another silent position (``fire.py``).
    cue_delay : int
        Cycles from its last spikes, if they are collected, until all cues are in memory.
    """

    cycles: int
    entries: int
    copied: int
    cue_delay: int


def layer_cycles(
    config: CoreConfig,
    fields: Mapping[str, int],
    words: NDArray[np.integer],
    topk: int = 0,
) -> tuple[int, int]:
    """Clock cycles of the neuron array when nothing stalls its outputs and weights are there, and its active entries.

    Parameters
    ----------
    config : CoreConfig
        The core.
    fields : mapping
        Descriptor fields (:func:`sparta_hw.descriptor.decode`).
    words : int array (entries,)
        Input words, entry 0 first: bit t is step (or plane) t.
    topk : int
        K, positions of a layer with ``ranked``.

    Returns
    -------
    cycles, entries : int
        Exact: equal to the simulated hardware in the unit's tests. All tiles see the same input and take the
        same time, so one is evaluated.
    """
    return layer_times(config, fields, words, topk)[:2]


def layer_times(
    config: CoreConfig,
    fields: Mapping[str, int],
    words: NDArray[np.integer],
    topk: int = 0,
) -> LayerTimes:
    """:func:`layer_cycles`, positions that copy their spikes, and how long the cues take beyond."""
    steps, groups = config.steps, fields["groups"]
    active = (
        np.asarray(words, dtype=np.int64)[None, :] >> steps * np.arange(groups)[:, None] & (1 << steps) - 1
        != 0
    ) | bool(fields["dense"])
    before = np.zeros((groups, active.shape[1] + 1), dtype=np.int64)
    np.cumsum(active, axis=1, out=before[:, 1:])
    counts = [[int(n) for n in group] for group in before]

    fire = FireTimes(config, fields)
    tile = _Tile(config.line)
    copies, known, copied = copies_silent(config, fields), False, 0
    for rows in _positions(fields, topk):
        for group in range(groups):
            found = tile.entries
            for n, row in enumerate(rows):
                gap = row.gap + (_NEW_POSITION if n == group == 0 else 0)
                tile.row(gap, row, counts[group], end=n == len(rows) - 1)
            silent = copies and tile.entries == found
            copy = silent and known
            tile.issued = max(tile.issued, fire.place, 0 if copy else fire.free)
            fire.group(tile.issued + _SUMS, group, copy)
            copied += copy
            known |= silent
    cycles = fire.end
    if fields["destination"] == Destination.TOKENS:
        cycles += fields["out_groups"] - 1
    begin = STREAMED_BEGIN if config.stream_bits else 0
    tiles = fields["tiles"]
    return LayerTimes(begin + tiles * cycles, tiles * tile.entries, tiles * copied, fire.spikes.cue_delay)


def _positions(fields: Mapping[str, int], topk: int) -> Iterator[list[_Row]]:
    """Issued rows of each position."""
    pitch, run = fields["row_pitch"], fields["run"]
    rows_of_positions, columns = positions(fields, topk)
    height, kernel = fields["in_height"], fields["kernel_height"]
    for y in range(rows_of_positions):
        top = y * fields["y_step"] - fields["pad"]
        input_rows = range(top, max(top, min(top + kernel, height) - 1) + 1)
        if top >= height:
            input_rows = range(top, top + kernel)
        for x in range(columns):
            column = x * fields["x_step"] - fields["x_start"]
            left, right = max(column, 0), min(column + run, pitch)
            rows, gap = [], 1
            for iy in input_rows:
                inside = 0 <= iy < height and left < right
                if inside:
                    rows.append(_Row(gap, iy * pitch + left, iy * pitch + right))
                elif iy == input_rows[-1]:
                    rows.append(_Row(gap, 0, 0))
                gap = 1 if inside else gap + 1
            yield rows


class _Tile:
    """Times, in cycles since the tile's begin, of the last event of each kind."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._kept = _FIRST_ROW - 1 - _NEW_POSITION
        self._accepted = (-1, -1)
        self._read = 0
        self._room = [0] * QUEUE_LINES
        self._held = 0
        self.issued = 0
        self.entries = 0

    def row(self, gap: int, row: _Row, before: list[int], end: bool) -> None:
        """One row: scanned and issued line by line. ``before[e]`` counts active entries below e."""
        low, high = row.low, row.high
        before_last, last_row = self._accepted
        self._kept = max(self._kept + gap, before_last + 1)
        accepted = max(self._kept + 1, self._read)
        self._accepted = (last_row, accepted)
        self._read = max(self._read, accepted)
        while True:
            stop = min(low // self._line * self._line + self._line, high)
            count = before[stop] - before[low] if low < high else 0
            last = end and stop == high
            self._read = read = max(self._read + 1, heappop(self._room))
            if (count or last) and self._held:
                self._issue(self._held, read + _READ)
                self._held, dropped = 0, not count
            else:
                dropped = not (count or last)
            if dropped:
                heappush(self._room, read + _READ + 1)
            elif last:
                self._issue(count, read + _HELD)
            else:
                self._held = count
            if stop == high:
                return
            low = stop

    def _issue(self, entries: int, there: int) -> None:
        """A line that is at the queue's output in that cycle; one without entries takes a cycle, too."""
        load = max(there, self.issued)
        self.issued = load + max(entries, 1)
        self.entries += entries
        heappush(self._room, load + 2)
