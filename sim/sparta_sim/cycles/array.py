"""Times of a LAYER descriptor, ``start`` to ``done``: those of ``neuron_array.py``, tile by tile and line by line."""

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination
from sparta_rtl.scanner import QUEUE_LINES
from sparta_sim.cycles.firing import FireTimes, copies_silent
from sparta_sim.cycles.stream import WeightStream
from sparta_sim.windows import positions

__all__ = ["LayerTimes", "Surroundings", "layer_times"]

_STREAMED_BEGIN = 1
"""From ``start`` to the first tile's begin, where weights are streamed."""

_FIRST_ROW = 6
"""From ``start`` to the first row: columns, clip, row, product, line address, row register."""
_NEW_POSITION = 2
"""Columns, clip."""
_READ = 4
"""From a line's read to the queue's output of the one before it: block RAM, register, mask, queue."""
_HELD = 5
"""The same of a group's last line itself."""
_ISSUED = 2
"""From a tile's last entry to the cycle that reads its weights."""
_HEADER = 3
"""From a tile's begin to its first header row's place, but for the rows."""
_FORGOTTEN = 64
"""Events so many cycles ago make no difference."""
_SUMS = 5
"""From a group's last entry to its sums: place, weight address, weight RAM, register, accumulator."""


class _Row(NamedTuple):
    """Entries ``low .. high - 1``, ``gap`` cycles after the row before; empty if ``high <= low``."""

    gap: int
    low: int
    high: int


class LayerTimes(NamedTuple):
    """Of one LAYER descriptor; of others there are cycles only.

    Parameters
    ----------
    cycles : int
        From ``start`` to ``done``.
    entries : int
        Active ones.
    copied : int
        Positions, times tiles, that take one step for the spikes of another silent position (``fire.py``).
    cue_delay : int
        Cycles from its last spikes, if they are collected, until all cues are in memory.
    stalls : int
        Cycles in which tiles wait for streamed weights.
    tiles : tuple of (int, int)
        Of each tile: when it begins, its weights being there, and when the last of them is read; since ``start``.
    """

    cycles: int
    entries: int = 0
    copied: int = 0
    cue_delay: int = 0
    stalls: int = 0
    tiles: tuple[tuple[int, int], ...] = ()


class Surroundings(NamedTuple):
    """What tiles may wait for beside the array itself.

    Parameters
    ----------
    stream : WeightStream, optional
        Where weights come from; without it they are there.
    start : int
        Cycle of ``start``, in the stream's time.
    gap : int
        Cycles from a tile's end to that of the next one, at least.
    hold : int
        Cycles after a tile's end in which the next one does not fire.
    """

    stream: WeightStream | None = None
    start: int = 0
    gap: int = 0
    hold: int = 0


_ALONE = Surroundings()


def layer_times(
    config: CoreConfig,
    fields: Mapping[str, int],
    words: NDArray[np.integer],
    topk: int = 0,
    around: Surroundings = _ALONE,
) -> LayerTimes:
    """Times of the neuron array when nothing else stalls its outputs: equal to the simulated hardware.

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
    around : Surroundings
        What tiles wait for.
    """
    steps, groups, tiles = config.steps, fields["groups"], fields["tiles"]
    active = (
        np.asarray(words, dtype=np.int64)[None, :] >> steps * np.arange(groups)[:, None] & (1 << steps) - 1
        != 0
    ) | bool(fields["dense"])
    before = np.zeros((groups, active.shape[1] + 1), dtype=np.int64)
    np.cumsum(active, axis=1, out=before[:, 1:])
    counts = [[int(n) for n in group] for group in before]
    layer = _Layer(config, fields, list(_positions(fields, topk)), counts, around)
    repeats, state = 0, None
    for tile in range(tiles):
        layer.tile()
        previous, state = state, layer.state
        if not around.stream and state == previous:
            repeats = tiles - 1 - tile
            break
    done = tiles - repeats
    begin, read = layer.tiles[-1]
    later = [(begin + n * layer.period, read + n * layer.period) for n in range(1, repeats + 1)]
    return LayerTimes(
        layer.end + repeats * layer.period,
        layer.entries // done * tiles,
        layer.copied // done * tiles,
        layer.fire.spikes.cue_delay,
        layer.stalls,
        (*layer.tiles, *later),
    )


class _Layer:
    """Times, in cycles since ``start``, of one tile after the other."""

    def __init__(
        self,
        config: CoreConfig,
        fields: Mapping[str, int],
        positions: list[list[_Row]],
        counts: list[list[int]],
        around: Surroundings,
    ) -> None:
        self._config, self._fields, self._around = config, fields, around
        self._positions, self._counts = positions, counts
        self._copies = copies_silent(config, fields)
        self._issue = _Issue(config.line)
        self.fire = FireTimes(config, fields)
        self._begin = _STREAMED_BEGIN if config.stream_bits else 0
        self.end = -around.hold
        self.period = self.copied = self.stalls = 0
        self.tiles: list[tuple[int, int]] = []

    @property
    def entries(self) -> int:
        return self._issue.entries

    @property
    def state(self) -> tuple[int, ...]:
        """What the times of the next tile depend on, as seen from its begin."""
        events = (self.end, *self._issue.state, *self.fire.state(self._begin))
        return tuple(max(event - self._begin, -_FORGOTTEN) for event in events)

    def tile(self) -> None:
        """One more tile."""
        config, fields, around, issue, fire = self._config, self._fields, self._around, self._issue, self.fire
        begin = due = self._begin
        pitch, alone = fields["weight_pitch"], config.fire_share > 1
        if around.stream:
            begin = max(due, around.stream.rows_there(pitch) + 1 - around.start)
            self.stalls += begin - due
        issue.open(begin + config.header_rows - 1)
        fire.begin(begin if alone else max(begin + config.header_rows + _HEADER, self.end + around.hold))
        self._groups()
        issued, end = issue.issued + _ISSUED, fire.end
        self.tiles.append((begin, issued))
        if fields["destination"] == Destination.TOKENS:
            end += fields["out_groups"] - 1
        self.end = max(end, self.end + around.gap)
        if around.stream:
            around.stream.release(pitch, around.start + issued)
        self._begin = max(issued, self.end + around.hold if alone else fire.begun + 1)
        self.period = self._begin - due

    def _groups(self) -> None:
        issue, fire, known = self._issue, self.fire, False
        for rows in self._positions:
            for group, counts in enumerate(self._counts):
                found = issue.entries
                for n, row in enumerate(rows):
                    gap = row.gap + (_NEW_POSITION if n == group == 0 else 0)
                    issue.row(gap, row, counts, end=n == len(rows) - 1)
                silent = self._copies and issue.entries == found
                copy = silent and known
                issue.issued = max(issue.issued, fire.place, 0 if copy else fire.free)
                fire.group(issue.issued + _SUMS, group, copy)
                self.copied += copy
                known |= silent


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


class _Issue:
    """Times, in cycles since ``start``, of the last event of each kind: rows, lines, entries."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._kept = _FIRST_ROW - 1 - _NEW_POSITION
        self._accepted = (-1, -1)
        self._read = 0
        self._room = [0] * QUEUE_LINES
        self._held = 0  # entries of a line that waits for another one
        self.issued = 0
        self.entries = 0

    @property
    def state(self) -> tuple[int, ...]:
        """What later times depend on."""
        return (self._kept, *self._accepted, self._read, self.issued, *sorted(self._room))

    def open(self, cycle: int) -> None:
        """The next tile's lines are accepted from then on."""
        self.issued = max(self.issued, cycle)

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
