"""Data sets: the embedded handwritten digits, and N-MNIST from files."""

from itertools import pairwise
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from sparta_hw.errors import InputFileError
from sparta_hw.files import read_bytes
from sparta_quant.events import EventDataset, bin_events, image_events, upsample

__all__ = ["NMNIST_SIZE", "Split", "load_digits", "load_nmnist", "load_nmnist_npz"]

Split = Literal["train", "test"]

NMNIST_SIZE = (34, 34)
_NMNIST_DURATION_US = 300_000
_NMNIST_EVENT_BYTES = 5
_TEST_PERIOD = 5
_DIGITS_THRESHOLD = 2.0


def load_digits(split: Split) -> EventDataset:
    """Scikit-learn's handwritten digits (8 x 8, 1797 images) as events on 16 x 16 pixels in 8 steps.

    Images are interpolated to 16 x 16 and moved along :data:`~sparta_quant.events.SACCADE`; a change by 1/8
    of the full intensity is an event. Of each class every fifth image, from the third on, is for the test:
    359 of the 1797.
    """
    from sklearn.datasets import load_digits as load_images

    digits = load_images()
    labels = digits.target.astype(np.int64)
    rank = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        members = labels == label
        rank[members] = np.arange(members.sum())
    chosen = (rank % _TEST_PERIOD == _TEST_PERIOD // 2) == (split == "test")
    images = upsample(digits.images[chosen], 2)
    return EventDataset(image_events(images, _DIGITS_THRESHOLD), labels[chosen])


def load_nmnist(root: str | Path, split: Split, steps: int, limit: int | None = None) -> EventDataset:
    """N-MNIST in its official layout, ``Train|Test/<digit>/*.bin``.

    An event has 5 bytes: x, y, polarity in bit 7 above bits 22..16 of the time, then its bits 15..8 and 7..0,
    in microseconds. The 300 ms of a recording are binned into ``steps`` frames of 34 x 34 pixels.

    Parameters
    ----------
    root : path
        Folder with ``Train`` and ``Test``.
    split : {"train", "test"}
        Which of them.
    steps : int
        T.
    limit : int or None
        At most so many recordings of each digit, the first by name.

    Raises
    ------
    InputFileError
        A folder has no recordings, or a file is truncated or has events outside the sensor.
    """
    folder = Path(root) / split.capitalize()
    spikes, labels = [], []
    for digit in range(10):
        files = sorted((folder / str(digit)).glob("*.bin"))[:limit]
        if not files:
            raise InputFileError(
                f"{folder / str(digit)}: no .bin files; N-MNIST has {split.capitalize()}/<digit>/*.bin"
            )
        spikes += [_read_recording(file, steps) for file in files]
        labels += [digit] * len(files)
    return EventDataset(np.stack(spikes), np.array(labels, np.int64))


def _read_recording(path: Path, steps: int) -> NDArray[np.uint8]:
    content = read_bytes(path, "an N-MNIST recording")
    if len(content) % _NMNIST_EVENT_BYTES:
        raise InputFileError(
            f"{path}: truncated: {len(content)} bytes, a recording has {_NMNIST_EVENT_BYTES} for each event"
        )
    x, y, high, middle, low = (
        np.frombuffer(content, np.uint8).reshape(-1, _NMNIST_EVENT_BYTES).T.astype(np.int64)
    )
    _check_sensor(path, x, y)
    time = (high & 0x7F) << 16 | middle << 8 | low
    return bin_events(x, y, high >> 7, time, steps=steps, duration=_NMNIST_DURATION_US, size=NMNIST_SIZE)


def load_nmnist_npz(path: str | Path, steps: int) -> EventDataset:
    """N-MNIST packed in one ``.npz``: one array of events for all recordings.

    Arrays: ``xyp`` uint16, polarity << 12 | y << 6 | x, in time order; ``per_ms`` (n, ms), events of a
    recording in each millisecond; ``offset`` (n + 1,), where each recording begins in ``xyp``; ``y`` (n,),
    labels.

    Raises
    ------
    InputFileError
        The file is missing, is no such archive, or its arrays contradict each other.
    """
    xyp, per_ms, offset, labels = _read_arrays(Path(path), ("xyp", "per_ms", "offset", "y"))
    counts = per_ms.sum(axis=1, dtype=np.int64)
    if len(offset) != len(labels) + 1 or len(counts) != len(labels) or offset[-1] != len(xyp):
        raise InputFileError(
            f"{path}: truncated: {len(labels)} labels, {len(counts)} rows of per_ms and {len(offset)} "
            f"offsets up to {offset[-1] if len(offset) else 0} for {len(xyp)} events"
        )
    if not np.array_equal(np.diff(offset.astype(np.int64)), counts):
        raise InputFileError(f"{path}: corrupt: offset and per_ms count different events")
    x, y, polarity = (xyp & 0x3F), (xyp >> 6 & 0x3F), (xyp >> 12)
    _check_sensor(Path(path), x, y)
    milliseconds = np.arange(per_ms.shape[1])
    spikes = [
        bin_events(
            x[start:end],
            y[start:end],
            polarity[start:end],
            np.repeat(milliseconds, per_ms[n]),
            steps=steps,
            duration=_NMNIST_DURATION_US // 1000,
            size=NMNIST_SIZE,
        )
        for n, (start, end) in enumerate(pairwise(offset))
    ]
    return EventDataset(np.stack(spikes), labels.astype(np.int64))


def _read_arrays(path: Path, names: tuple[str, ...]) -> list[NDArray]:
    if not path.is_file():
        raise InputFileError(f"{path}: no such file (expected N-MNIST events in .npz)")
    try:
        with np.load(path) as archive:
            missing = [name for name in names if name not in archive.files]
            if missing:
                raise InputFileError(
                    f"{path}: has no array {missing[0]!r}; N-MNIST events need {', '.join(names)}"
                )
            return [archive[name] for name in names]
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputFileError(f"{path}: not a readable .npz of N-MNIST events: {error}") from error


def _check_sensor(path: Path, x: NDArray[np.integer], y: NDArray[np.integer]) -> None:
    height, width = NMNIST_SIZE
    outside = np.flatnonzero((x >= width) | (y >= height))
    if outside.size:
        n = outside[0]
        raise InputFileError(
            f"{path}: event {n} is at ({x[n]}, {y[n]}), the sensor has {width} x {height} pixels"
        )
