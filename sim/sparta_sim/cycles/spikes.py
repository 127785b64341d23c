"""Cycles of fired spikes on their way: the fire stage's queue, a slice, and the cue unit, which may be busy."""

from collections import deque

from sparta_hw.config import CoreConfig
from sparta_rtl.cues import cue_item_cycles, cue_tail_cycles
from sparta_rtl.fire import QUEUE_ITEMS

__all__ = ["SpikeTimes"]

_RESULT = 6
"""From a group's last step to its result."""
_ROOM = 3
"""From the slice's acceptance of a result until the first step of another one can take its current."""
_SLICE_ITEMS = 2


class SpikeTimes:
    """Times, in cycles since the layer's begin, of one result after the other.

    Parameters
    ----------
    config : CoreConfig
        The core.
    steps : int
        T.
    collected : bool
        The cue unit counts them; else they go to memory as they come.
    """

    def __init__(self, config: CoreConfig, steps: int, collected: bool) -> None:
        self._config, self._steps, self._collected = config, steps, collected
        self._sliced = deque([-_ROOM] * QUEUE_ITEMS, maxlen=QUEUE_ITEMS)
        self._accepted = deque([-1] * _SLICE_ITEMS, maxlen=_SLICE_ITEMS)
        self._cue_free = 0
        self._copied = False

    @property
    def room(self) -> int:
        """From when on the first step of a result may be taken."""
        return self._sliced[0] + _ROOM

    @property
    def end(self) -> int:
        """The fire stage has nothing left: one cycle after its last result was accepted."""
        return self._sliced[-1] + 1

    @property
    def cue_delay(self) -> int:
        """Cycles from ``end`` until the cues of all spikes are in memory."""
        return self._accepted[-1] - self.end + cue_tail_cycles(self._config, self._steps, self._copied)

    @property
    def state(self) -> tuple[int, ...]:
        """What the times of later results depend on."""
        return (*self._sliced, *self._accepted, self._cue_free)

    def result(self, last_step: int, complete: bool, copied: bool) -> None:
        """Spikes of a group, whose last step was taken in that cycle; ``complete`` : the position's last one."""
        sliced = max(last_step + _RESULT, self._sliced[-1] + 1, self._accepted[0] + 1)
        accepted = max(sliced + 1, self._accepted[-1] + 1)
        if complete and self._collected:
            accepted = max(accepted, self._cue_free)
            self._cue_free = accepted + cue_item_cycles(self._config, self._steps, copied)
        self._copied = copied
        self._sliced.append(sliced)
        self._accepted.append(accepted)
