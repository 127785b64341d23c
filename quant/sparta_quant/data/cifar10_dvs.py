"""CIFAR10-DVS: images of CIFAR-10 on a screen, seen by a DVS128 camera."""

from pathlib import Path

import numpy as np

from sparta_hw.errors import InputFileError, SpartaError
from sparta_quant.data.binning import Events
from sparta_quant.data.dataset import Dataset, Split
from sparta_quant.data.jaer import read_jaer
from sparta_quant.data.recordings import Sampling, load_recordings

__all__ = ["is_cifar10_dvs", "load_cifar10_dvs"]

_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_TRAIN_TENTHS = 9


def is_cifar10_dvs(root: Path) -> bool:
    """Whether any class has recordings."""
    return any(any((root / name).glob("*.aedat*")) for name in _CLASSES)


def load_cifar10_dvs(root: str | Path, split: Split, sampling: Sampling) -> Dataset:
    """CIFAR10-DVS, ``<class>/*.aedat4``, or the original ``<class>/*.aedat``.

    The data set has no split of its own: of each class, the first nine tenths of the files, in the order of their
    numbers, are for training and the others for the test. Without a window in ``sampling``, a file is one sample,
    binned over its whole duration of about 1.3 s.

    Raises
    ------
    InputFileError
        A class has too few files, or one is damaged.
    SpartaError
        AEDAT 4 files need the package ``aedat``, which is not installed.

    References
    ----------
    Li et al., "CIFAR10-DVS: An Event-Stream Dataset for Object Classification".
    """
    files = []
    for label, name in enumerate(_CLASSES):
        folder = Path(root) / name
        found = sorted(folder.glob("*.aedat4")) or sorted(folder.glob("*.aedat"))
        found.sort(key=lambda path: len(path.stem))
        boundary = len(found) * _TRAIN_TENTHS // 10
        chosen = found[:boundary] if split == "train" else found[boundary:]
        if not chosen:
            raise InputFileError(f"{folder}: {len(found)} .aedat4 files, too few to split nine to one")
        files += [(path, label) for path in chosen]
    return load_recordings("CIFAR10-DVS", files, _CLASSES, _read, sampling)


def _read(path: Path) -> Events:
    return read_jaer(path) if path.suffix == ".aedat" else _read_aedat4(path)


def _read_aedat4(path: Path) -> Events:
    try:
        from aedat import Decoder
    except ImportError as error:
        raise SpartaError(
            f"{path}: AEDAT 4 needs the package aedat: pip install 'sparta-hw[aedat]'"
        ) from error
    try:
        packets = [packet["events"] for packet in Decoder(str(path)) if "events" in packet]
    except RuntimeError as error:
        raise InputFileError(f"{path}: not a readable AEDAT 4 recording: {error}") from error
    if not packets:
        raise InputFileError(f"{path}: has no events")
    x, y, on, time = (
        np.concatenate([packet[field] for packet in packets]).astype(np.int64)
        for field in ("x", "y", "on", "t")
    )
    return Events(x, y, on, time, np.zeros_like(x))
