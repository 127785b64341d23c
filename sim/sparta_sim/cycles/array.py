"""Times of a LAYER descriptor, ``start`` to ``done``: those of ``neuron_array.py``, tile by tile and line by line."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination
from sparta_sim.cycles.firing import FireTimes, copies_silent
from sparta_sim.cycles.issue import NEW_POSITION, IssueTimes, Row, issued_rows
from sparta_sim.cycles.stream import WeightStream

__all__ = ["LayerTimes", "Surroundings", "layer_times"]

_STREAMED_BEGIN = 1
"""From ``start`` to the first tile's begin, where weights are streamed."""
_ISSUED = 2
"""From a tile's last entry to the cycle that reads its weights."""
_HEADER = 3
"""From a tile's begin to its first header row's place, but for the rows."""
_FORGOTTEN = 64
"""Events so many cycles ago make no difference."""
_SUMS = 5
"""From a group's last entry to its sums: place, weight address, weight RAM, register, accumulator."""


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
    layer = _Layer(config, fields, list(issued_rows(fields, topk)), counts, around)
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
        positions: list[list[Row]],
        counts: list[list[int]],
        around: Surroundings,
    ) -> None:
        self._config, self._fields, self._around = config, fields, around
        self._positions, self._counts = positions, counts
        self._copies = copies_silent(config, fields)
        self._issue = IssueTimes(config.line)
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
        fire.begun = begin if alone else max(begin + config.header_rows + _HEADER, self.end + around.hold)
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
                    gap = row.gap + (NEW_POSITION if n == group == 0 else 0)
                    issue.row(gap, row, counts, end=n == len(rows) - 1)
                silent = self._copies and issue.entries == found
                copy = silent and known
                issue.issued = max(issue.issued, fire.place, 0 if copy else fire.free)
                fire.group(issue.issued + _SUMS, group, copy)
                self.copied += copy
                known |= silent
