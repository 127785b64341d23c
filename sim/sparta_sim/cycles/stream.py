"""Cycles of streamed weights: when each tile's rows are there, behind a memory of some latency."""

from collections import deque
from dataclasses import dataclass

from sparta_hw.config import CoreConfig
from sparta_hw.errors import SpartaError

__all__ = ["IDEAL_MEMORY", "MemoryTiming", "WeightStream"]


@dataclass(frozen=True, kw_only=True)
class MemoryTiming:
    """How an external memory answers.

    Parameters
    ----------
    latency : int
        Cycles from an accepted address to its first beat, at least 1; beats then come one a cycle.
    stalls : float
        Probability, 0 to 0.99, that either channel pauses in a cycle. Cycles are predicted for 0 only.
    """

    latency: int = 30
    stalls: float = 0.0

    def __post_init__(self) -> None:
        if self.latency < 1 or not 0 <= self.stalls <= 0.99:
            raise SpartaError(
                f"external memory: latency must be at least 1 cycle and the stall probability 0 to 0.99, not "
                f"{self.latency} and {self.stalls}"
            )


IDEAL_MEMORY = MemoryTiming()
"""No pauses."""


class WeightStream:
    """The streamer (``weight_stream.py``) over one inference, burst by burst; times are cycles since its start.

    It begins with as many rows in the ring as it can hold in whole bursts. A burst's address is offered 2 cycles after
    the one before, and after the release that makes room for it; its beats come ``latency`` cycles after that, behind
    those of the burst before; a row counts in the cycle after its last beat.

    Parameters
    ----------
    config : CoreConfig
        Of a core that streams.
    rows : int
        Of the image.
    latency : int
        As :class:`MemoryTiming` has it.
    """

    def __init__(self, config: CoreConfig, rows: int, latency: int) -> None:
        self._burst, self._row = config.burst_beats, config.row_beats
        self._image, self._left = rows * self._row, rows * self._row
        self._latency = latency
        self._room = config.weight_rows * self._row
        self._asked = 0  # beats
        self._used = 0  # rows that tiles have been promised
        self._offered = self._last_beat = -(1 << 30)
        self._bursts: deque[tuple[int, int, int]] = deque()  # first beat, beats, cycle of the first one
        self._ask(self._offered)

    def rows_there(self, rows: int) -> int:
        """Cycle in which the next ``rows`` rows of the stream count."""
        self._used += rows
        last = self._used * self._row - 1
        while self._bursts and sum(self._bursts[0][:2]) <= last:
            self._bursts.popleft()
        first, _, cycle = self._bursts[0]
        return cycle + last - first + 1

    def release(self, rows: int, cycle: int) -> None:
        """The oldest ``rows`` rows are released in this cycle."""
        self._room += rows * self._row
        self._ask(cycle + 1)

    def _ask(self, cycle: int) -> None:
        """Bursts for which there is room from this cycle on."""
        while self._room >= self._burst and self._left:
            beats = min(self._burst, self._left)
            self._room -= beats
            self._left = self._left - beats or self._image
            self._offered = max(self._offered + 2, cycle + 1)
            begin = max(self._offered + self._latency, self._last_beat + 1)
            self._last_beat = begin + beats - 1
            self._bursts.append((self._asked, beats, begin))
            self._asked += beats
