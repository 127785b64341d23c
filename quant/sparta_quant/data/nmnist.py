"""N-MNIST: digits on a screen, seen by a moving event camera (34 x 34 pixels, about 300 ms)."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from sparta_hw.errors import InputFileError
from sparta_hw.files import read_bytes
from sparta_quant.data.binning import Events, bin_events
from sparta_quant.data.dataset import Dataset, Split

__all__ = ["NMNIST_SIZE", "load_nmnist", "load_nmnist_list", "load_nmnist_npz"]

NMNIST_SIZE = (34, 34)
_DURATION_US = 300_000
_EVENT_BYTES = 5
_CLASSES = tuple(str(digit) for digit in range(10))


def load_nmnist(root: str | Path, split: Split, steps: int) -> Dataset:
    """N-MNIST in its official layout, ``Train|Test/<digit>/*.bin``.

    An event has 5 bytes: x, y, polarity in bit 7 above bits 22..16 of the time, then its bits 15..8 and 7..0,
    in microseconds. The first 300 ms of a recording are binned into ``steps`` frames of 34 x 34 pixels.

    Parameters
    ----------
    root : path
        Folder with ``Train`` and ``Test``.
    split : {"train", "test"}
        Which of them.
    steps : int
        T.

    Raises
    ------
    InputFileError
        A folder has no recordings, or a file is truncated or has events outside the sensor.
    """
    folder = Path(root) / split.capitalize()
    files: list[Path] = []
    labels: list[int] = []
    for digit in range(10):
        found = sorted((folder / str(digit)).glob("*.bin"))
        if not found:
            raise InputFileError(
                f"{folder / str(digit)}: no .bin files; N-MNIST has {split.capitalize()}/<digit>/*.bin"
            )
        files += found
        labels += [digit] * len(found)
    return _dataset(files, labels, steps)


def load_nmnist_list(root: str | Path, split: Split, steps: int) -> Dataset:
    """N-MNIST recordings ``<sample>.bs2`` in one folder, as two lists name them, ``train*.txt`` and ``test*.txt``.

    A line of a list has the number of a sample and its digit; lines that begin with ``#`` are comments. Events are
    those of :func:`load_nmnist`.

    Raises
    ------
    InputFileError
        A list or a recording is missing or damaged.
    """
    folder = Path(root)
    lists = sorted(folder.glob(f"{split}*.txt"))
    if len(lists) != 1:
        raise InputFileError(
            f"{folder}: has {len(lists)} lists {split}*.txt of samples and digits, expected one"
        )
    files, labels = [], []
    for number, line in enumerate(lists[0].read_text(errors="replace").splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        fields = line.split()
        if len(fields) != 2 or not fields[0].isdigit() or fields[1] not in _CLASSES:
            raise InputFileError(
                f"{lists[0]}: line {number} is {line!r}, expected a sample's number and its digit"
            )
        files.append(folder / f"{fields[0]}.bs2")
        labels.append(int(fields[1]))
    if not files:
        raise InputFileError(f"{lists[0]}: names no samples")
    return _dataset(files, labels, steps)


def load_nmnist_npz(path: str | Path, steps: int) -> Dataset:
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
    if not len(labels) or labels.min() < 0 or labels.max() > 9:
        raise InputFileError(f"{path}: corrupt: labels are no digits")
    recordings, milliseconds = per_ms.shape
    time = np.repeat(np.tile(np.arange(milliseconds), recordings), per_ms.ravel())
    events = Events(xyp & 0x3F, xyp >> 6 & 0x3F, xyp >> 12, time, np.repeat(np.arange(recordings), counts))
    events.check_sensor(Path(path), NMNIST_SIZE)
    words = bin_events(events, recordings, steps=steps, duration=_DURATION_US // 1000, size=NMNIST_SIZE)
    return Dataset("N-MNIST", words, labels.astype(np.int64), _CLASSES[: labels.max() + 1], steps)


def _dataset(files: list[Path], labels: list[int], steps: int) -> Dataset:
    events = Events.joined([_read_recording(file) for file in files])
    words = bin_events(events, len(files), steps=steps, duration=_DURATION_US, size=NMNIST_SIZE)
    return Dataset("N-MNIST", words, np.array(labels, np.int64), _CLASSES, steps)


def _read_recording(path: Path) -> Events:
    content = read_bytes(path, "an N-MNIST recording")
    if len(content) % _EVENT_BYTES:
        raise InputFileError(
            f"{path}: truncated: {len(content)} bytes, a recording has {_EVENT_BYTES} for each event"
        )
    x, y, high, middle, low = np.frombuffer(content, np.uint8).reshape(-1, _EVENT_BYTES).T.astype(np.int64)
    events = Events(x, y, high >> 7, (high & 0x7F) << 16 | middle << 8 | low, np.zeros(len(x), np.int64))
    events.check_sensor(path, NMNIST_SIZE)
    return events


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
