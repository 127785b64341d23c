"""Recordings of a camera with 128 x 128 pixels, one file each, as samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sparta_hw.errors import ConfigError, InputFileError
from sparta_quant.data.binning import Events, bin_events
from sparta_quant.data.dataset import Dataset

__all__ = ["SENSOR_SIZE", "Sampling", "load_recordings"]

SENSOR_SIZE = (128, 128)
"""Rows and columns of a DVS128."""

_MAX_STEPS = 32


@dataclass(frozen=True)
class Sampling:
    """How recordings become samples.

    Parameters
    ----------
    steps : int
        T, 1 to 32.
    size : tuple of int or None
        Height and width of a sample, at most those of the sensor; a smaller pixel gathers the events of the sensor's
        pixels that it covers. The sensor's own size if None.
    window_ms : float or None
        Length of a sample. Recordings are cut into as many as fit; what remains at their end, and windows without
        any event, are left out. If None, the data set's own length.

    Raises
    ------
    ConfigError
        A number is out of its range.
    """

    steps: int
    size: tuple[int, int] | None = None
    window_ms: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= _MAX_STEPS:
            raise ConfigError(f"events are binned into 1 to {_MAX_STEPS} steps, not {self.steps}")
        if self.window_ms is not None and self.window_ms * 1000 < self.steps:
            raise ConfigError(
                f"a window of {self.window_ms:g} ms is too short for {self.steps} steps, of at least 1 us each"
            )


def load_recordings(
    name: str,
    files: Sequence[tuple[Path, int]],
    classes: tuple[str, ...],
    read: Callable[[Path], Events],
    sampling: Sampling,
) -> Dataset:
    """Samples of all files.

    They are read one after the other: the events of a whole data set need many times the memory of its samples.

    Parameters
    ----------
    name, classes
        As in :class:`~sparta_quant.data.dataset.Dataset`.
    files : sequence of (path, label)
        The recordings.
    read : function of a path
        Its events, with times in microseconds from any beginning.
    sampling : Sampling
        Without a window, a file is one sample, binned over its whole duration.

    Raises
    ------
    InputFileError
        A file has no events, events outside the sensor, or is shorter than a window.
    ConfigError
        Samples would be larger than the sensor.
    """
    height, width = size = sampling.size or SENSOR_SIZE
    if height > SENSOR_SIZE[0] or width > SENSOR_SIZE[1]:
        raise ConfigError(
            f"{name} has {SENSOR_SIZE[1]} x {SENSOR_SIZE[0]} pixels, they cannot become {width} x {height}"
        )
    words: list[NDArray[np.uint32]] = []
    for path, _ in tqdm(files, desc=f"reading {name}", unit="file", disable=None):
        events = read(path)
        if not len(events.time):
            raise InputFileError(f"{path}: has no events")
        events.check_sensor(path, SENSOR_SIZE)
        events, samples, duration = _cut(events, path, sampling.window_ms)
        events = replace(events, y=events.y * height // SENSOR_SIZE[0], x=events.x * width // SENSOR_SIZE[1])
        words.append(bin_events(events, samples, steps=sampling.steps, duration=duration, size=size))
    labels = np.repeat(np.array([label for _, label in files], np.int64), [len(part) for part in words])
    return Dataset(name, np.concatenate(words), labels, classes, sampling.steps)


def _cut(events: Events, path: Path, window_ms: float | None) -> tuple[Events, int, int]:
    """The samples of one file as recordings, their number, and their duration in microseconds."""
    time = events.time.astype(np.int64)
    time -= time.min()
    duration = int(time.max()) + 1
    if window_ms is None:
        return replace(events, time=time, recording=np.zeros_like(time)), 1, duration
    window = round(window_ms * 1000)
    whole = duration // window
    if not whole:
        raise InputFileError(
            f"{path}: lasts {duration / 1000:g} ms, shorter than a window of {window_ms:g} ms; choose a shorter one"
        )
    ordered = np.argsort(time, kind="stable")
    ordered = ordered[: np.searchsorted(time[ordered], whole * window)]
    time = time[ordered]
    _, recording = np.unique(time // window, return_inverse=True)
    cut = Events(events.x[ordered], events.y[ordered], events.polarity[ordered], time % window, recording)
    return cut, int(recording[-1]) + 1, window
