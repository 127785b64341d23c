"""Event streams of many recordings as packed spike trains."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparta_hw.errors import InputFileError

__all__ = ["Events", "bin_events"]

_WORD_BITS = 32
_CHUNK_BITS = 1 << 26
"""Memory for one pass of binning, in bytes: one for each step of each pixel."""


@dataclass(frozen=True, eq=False)
class Events:
    """Events of several recordings, one after the other.

    Parameters
    ----------
    x, y, polarity, time : int arrays (events,)
        Column, row, 0 off or 1 on, and time since the start of its recording.
    recording : int array (events,)
        Number of the recording, rising.
    """

    x: NDArray[np.integer]
    y: NDArray[np.integer]
    polarity: NDArray[np.integer]
    time: NDArray[np.integer]
    recording: NDArray[np.integer]

    @classmethod
    def joined(cls, parts: list["Events"]) -> "Events":
        """The recordings of all parts, numbered on."""
        empty = np.zeros(0, np.int64)
        return cls(
            x=np.concatenate([empty, *(part.x for part in parts)]),
            y=np.concatenate([empty, *(part.y for part in parts)]),
            polarity=np.concatenate([empty, *(part.polarity for part in parts)]),
            time=np.concatenate([empty, *(part.time for part in parts)]),
            recording=np.repeat(np.arange(len(parts)), [len(part.x) for part in parts]),
        )

    def part(self, low: int, high: int) -> "Events":
        """Events ``low`` to ``high - 1``."""
        fields = (self.x, self.y, self.polarity, self.time, self.recording)
        return Events(*(field[low:high].astype(np.int64) for field in fields))

    def check_sensor(self, path: Path, size: tuple[int, int]) -> None:
        """Refuse events outside a sensor of ``size`` (height, width), or of no polarity.

        Raises
        ------
        InputFileError
            Names the first of them.
        """
        height, width = size
        outside = (self.x < 0) | (self.x >= width) | (self.y < 0) | (self.y >= height)
        if outside.any():
            n = int(np.argmax(outside))
            raise InputFileError(
                f"{path}: event {n} is at ({self.x[n]}, {self.y[n]}), the sensor has {width} x {height} pixels"
            )
        unknown = (self.polarity < 0) | (self.polarity > 1)
        if unknown.any():
            n = int(np.argmax(unknown))
            raise InputFileError(
                f"{path}: event {n} has polarity {self.polarity[n]}, expected 0 (off) or 1 (on)"
            )


def bin_events(
    events: Events, recordings: int, *, steps: int, duration: int, size: tuple[int, int]
) -> NDArray[np.uint32]:
    """Spike trains (recordings, 2, H, W): bit t is set where a pixel had at least one event in step t.

    Step t covers ``duration / steps`` units of time from ``t * duration / steps`` on; events before or after all
    steps are left out. One bit a step, as :class:`~sparta_quant.data.dataset.Dataset` has them, fits no binning
    library: they make frames of counts, 32 times the memory.
    """
    height, width = size
    pixels = 2 * height * width
    words = np.zeros((recordings, pixels), np.uint32)
    each = max(1, _CHUNK_BITS // (pixels * _WORD_BITS))
    for start in range(0, recordings, each):
        count = min(each, recordings - start)
        low, high = np.searchsorted(events.recording, (start, start + count))
        words[start : start + count] = _words(
            events.part(low, high), start, count, steps=steps, duration=duration, size=size
        )
    return words.reshape(recordings, 2, height, width)


def _words(
    events: Events, first: int, recordings: int, *, steps: int, duration: int, size: tuple[int, int]
) -> NDArray[np.uint32]:
    """Words (recordings, pixels) of the recordings from ``first`` on."""
    height, width = size
    step = events.time * steps // duration
    pixel = (((events.recording - first) * 2 + events.polarity) * height + events.y) * width + events.x
    inside = (step >= 0) & (step < steps)
    seen = np.zeros((recordings * 2 * height * width, _WORD_BITS), bool)
    seen[pixel[inside], step[inside]] = True
    return np.packbits(seen, axis=1, bitorder="little").view("<u4").reshape(recordings, -1)
