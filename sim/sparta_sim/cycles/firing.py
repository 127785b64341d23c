"""Cycles of the fire stage, group by group: ``fire.py`` with ``steps.py``, or ``shared_fire.py``."""

from collections import deque
from collections.abc import Mapping

from sparta_hw.config import CoreConfig
from sparta_rtl.fire import READ_LEAD
from sparta_rtl.issue import GROUPS_AHEAD
from sparta_rtl.shared_fire import LOOP_CYCLES
from sparta_rtl.steps import LANE_CYCLES, POSITIONS_APART, release_step
from sparta_sim.cycles.spikes import SpikeTimes

__all__ = ["FireTimes", "copies_silent"]

_CURRENT = 6
"""From a sum's read until a step can take its current."""
_BEGUN = 2
"""From a tile's begin to the read of its first sum."""
_READS_APART = 2
"""From the read of a group to that of the next one, at least."""
_VALUES, _SHARED = 6, 7
"""From the cycle after the last plane read, or that after the last slot of a step, to the end."""


def copies_silent(config: CoreConfig, fields: Mapping[str, int]) -> bool:
    """Whether a tile's silent positions take one step, for the spikes of the first one (``fire.py``)."""
    return not (config.fire_share > 1 or fields["groups"] > 1 or fields["integer"])


class FireTimes:
    """Times, in cycles since the layer's begin; ``spikes`` has those of the results, ``begun`` that of the tile.

    Parameters
    ----------
    config : CoreConfig
        The core.
    fields : mapping
        Of a LAYER descriptor.
    """

    def __init__(self, config: CoreConfig, fields: Mapping[str, int]) -> None:
        shared = config.fire_share > 1
        self._direct = bool(fields["direct"])
        self._reads = _parts(fields["steps"], config.steps)
        if shared:
            self._reads = [max(fields["slots"], LOOP_CYCLES)] * len(self._reads)
        spiking = self._direct or not (shared or fields["integer"])
        self._steps = _parts(fields["out_steps"], config.steps) if spiking else []
        self.spikes = SpikeTimes(config, fields["out_steps"], bool(fields["cues"]))
        self._tail = _SHARED if shared else _VALUES
        self._release = release_step(config.steps)
        self._read_end = self._last_step = self._apart = 0
        self._released = [0, 0]
        self._idle = [0, 0]
        self._taken = deque([0] * GROUPS_AHEAD, maxlen=GROUPS_AHEAD)
        self._free = deque([0] * config.sum_sets, maxlen=config.sum_sets)
        self._moving_up = config.sum_sets - 1
        self.begun = 0

    @property
    def free(self) -> int:
        """From when on the sums of one more group may be finished."""
        return self._free[0]

    @property
    def end(self) -> int:
        """The last result has been accepted."""
        return self.spikes.end if self._steps else self._tail + self._taken[-1]

    @property
    def place(self) -> int:
        """From when on one more group may be issued to its end."""
        return self._taken[0]

    def state(self, cycle: int) -> tuple[int, ...]:
        """What the times of later groups depend on, as seen from that cycle."""
        idle = [self._idle[(cycle + n) % LANE_CYCLES] for n in range(LANE_CYCLES)]
        events = [self._read_end, self._last_step, self._apart, self.begun]
        return (*events, *self._released, *idle, *self._free, *self._taken, *self.spikes.state)

    def group(self, full: int, group: int, copied: bool) -> None:
        """A group's sums, if it has some, are there in cycle ``full``; ``copied`` : it takes one step."""
        cycles, last = 1 if copied else self._reads[group], group == len(self._reads) - 1
        if not copied:
            full += self._moving_up
        read = max(full, self._read_end, self.begun + _BEGUN)
        if self._steps and (group == 0 or not self._direct):
            read = max(read, self._released[0])
        self._read_end = read + max(cycles, _READS_APART)
        self._taken.append(read + cycles)
        if not copied:
            self._free.append(read + 1 + max(cycles - READ_LEAD, 0))
        if self._steps and not self._direct:
            self._fire(read + _CURRENT, group, copied)
        elif self._steps and last:
            for fired in range(len(self._steps)):
                self._fire(read + cycles - 1 + _CURRENT, fired)

    def _fire(self, ready: int, group: int, copied: bool = False) -> None:
        """Steps every ``LANE_CYCLES``; a position may begin while the one before goes on, unless it is copied."""
        steps, last = 1 if copied else self._steps[group], group == len(self._steps) - 1
        if copied:
            ready = max(ready, self._last_step + POSITIONS_APART)
        ready = max(ready, self.spikes.room)
        start = max(ready, *([self._apart, min(self._idle)] if group == 0 else self._idle))
        if self._idle[start % LANE_CYCLES] > start:
            start += 1
        self._last_step = start + LANE_CYCLES * (steps - 1)
        self._idle[start % LANE_CYCLES] = start + LANE_CYCLES * steps
        if not self._direct or last:
            releases = steps - 1 if self._direct else min(self._release, steps - 1)
            self._released = [self._released[1], start + LANE_CYCLES * releases + 2]
        if last:
            self._apart = start + POSITIONS_APART
        self.spikes.result(self._last_step, last, copied)


def _parts(steps: int, size: int) -> list[int]:
    """Steps of each group."""
    return [min(size, steps - first) for first in range(0, steps, size)]
