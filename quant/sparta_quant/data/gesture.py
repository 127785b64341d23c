"""DVS-Gesture: eleven gestures in front of a DVS128 camera."""

from pathlib import Path

import numpy as np

from sparta_hw.errors import InputFileError
from sparta_quant.data.binning import Events
from sparta_quant.data.dataset import Dataset, Split
from sparta_quant.data.recordings import Sampling, load_recordings

__all__ = ["is_gesture", "load_gesture"]

_FOLDERS: dict[Split, str] = {"train": "ibmGestureTrain", "test": "ibmGestureTest"}
_CLASSES = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter-clockwise",
    "left arm clockwise",
    "left arm counter-clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)


def is_gesture(root: Path) -> bool:
    """Whether a split is in the folder."""
    return any((root / folder).is_dir() for folder in _FOLDERS.values())


def load_gesture(root: str | Path, split: Split, sampling: Sampling) -> Dataset:
    """DVS-Gesture, one gesture a file: ``ibmGestureTrain|ibmGestureTest/user<n>_<light>/<label>.npy``.

    A file has an array (events, 4) of column, row, polarity and milliseconds; labels are 0 to 10. Without a window
    in ``sampling``, a file is one sample, binned over its whole duration of several seconds: published accuracies
    are of whole recordings, and a gesture repeats within one.

    Raises
    ------
    InputFileError
        There are no files of the split, or one is damaged or has a name that is no label.

    References
    ----------
    Amir et al., "A Low Power, Fully Event-Based Gesture Recognition System".
    """
    folder = Path(root) / _FOLDERS[split]
    files = [(path, _label(path)) for path in sorted(folder.glob("user*/*.npy"))]
    if not files:
        raise InputFileError(
            f"{folder}: no .npy files; DVS-Gesture has {folder.name}/user<n>_<light>/<label>.npy"
        )
    return load_recordings("DVS-Gesture", files, _CLASSES, _read, sampling)


def _label(path: Path) -> int:
    if not path.stem.isdecimal() or int(path.stem) >= len(_CLASSES):
        raise InputFileError(f"{path}: its name is no label; expected 0.npy to {len(_CLASSES) - 1}.npy")
    return int(path.stem)


def _read(path: Path) -> Events:
    try:
        events = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputFileError(f"{path}: not a readable .npy of events: {error}") from error
    if events.ndim != 2 or events.shape[1] != 4 or not np.can_cast(events.dtype, np.float64):
        raise InputFileError(f"{path}: is {events.dtype} {events.shape}, expected numbers (events, 4)")
    x, y, polarity, milliseconds = events.astype(np.int64).T
    return Events(x, y, polarity, milliseconds * 1000, np.zeros_like(x))
