"""Cycles of the fire stage, group by group: ``fire.py`` with ``steps.py``, or ``shared_fire.py``."""

from collections.abc import Mapping

from sparta_hw.config import CoreConfig
from sparta_rtl.cues import cue_item_cycles, cue_tail_cycles
from sparta_rtl.fire import READ_LEAD
from sparta_rtl.shared_fire import LOOP_CYCLES
from sparta_rtl.steps import LANE_CYCLES, POSITIONS_APART, release_step

__all__ = ["FireTimes", "copies_silent"]

_CURRENT = 6
"""From a sum's read until a step can take its current."""
_SPIKES, _VALUES, _SHARED = 7, 6, 7
"""From the last step taken, the cycle after the last plane read, or that after the last slot of a step, to the end."""


def copies_silent(config: CoreConfig, fields: Mapping[str, int]) -> bool:
    """Whether a tile's silent positions take one step, for the spikes of the first one (``fire.py``)."""
    return not (config.fire_share > 1 or fields["groups"] > 1 or fields["integer"])


class FireTimes:
    """Times, in cycles since the tile's begin.

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
        self._config = config
        self._out_steps = fields["out_steps"]
        self._tail = _SPIKES if spiking else _SHARED if shared else _VALUES
        self._release = release_step(config.steps)
        self._read_end = self._last_step = self._apart = 0
        self._released = [0, 0]
        self._idle = [0, 0]
        self._cue_begin = self._cue_free = 0
        self._copied = False

    @property
    def end(self) -> int:
        """The last result has been accepted."""
        return self._tail + (self._last_step if self._steps else self._read_end)

    @property
    def cue_delay(self) -> int:
        """Cycles from the tile's last spikes, if they are collected, until all cues are in memory."""
        return (
            self._cue_begin - self._last_step + cue_tail_cycles(self._config, self._out_steps, self._copied)
        )

    def group(self, full: int, group: int, copied: bool = False) -> int:
        """The sums of a group are there in cycle ``full``; the cycle of ``free``. ``copied`` : it takes one step."""
        cycles, last = 1 if copied else self._reads[group], group == len(self._reads) - 1
        read = max(full, self._read_end)
        if self._steps and (group == 0 or not self._direct):
            read = max(read, self._released[0])
        self._read_end = read + cycles
        if self._steps and not self._direct:
            self._fire(read + _CURRENT, group, copied)
        elif self._steps and last:
            for fired in range(len(self._steps)):
                self._fire(self._read_end - 1 + _CURRENT, fired)
        return read + 1 + max(cycles - READ_LEAD, 0)

    def _fire(self, ready: int, group: int, copied: bool = False) -> None:
        """Steps every ``LANE_CYCLES``; a position may begin while the one before goes on, unless it is copied."""
        steps, last = 1 if copied else self._steps[group], group == len(self._steps) - 1
        if copied:
            ready = max(ready, self._last_step + POSITIONS_APART)
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
            self._cue_begin = max(self._last_step, self._cue_free)
            self._cue_free = self._cue_begin + cue_item_cycles(self._config, self._out_steps, copied)
            self._copied = copied


def _parts(steps: int, size: int) -> list[int]:
    """Steps of each group."""
    return [min(size, steps - first) for first in range(0, steps, size)]
