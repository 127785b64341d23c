"""CIFAR-10 and CIFAR-100 in their official releases: pickles for Python, or binary records."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparta_hw.errors import InputFileError
from sparta_hw.files import read_bytes
from sparta_quant.data.dataset import Dataset, Split
from sparta_quant.data.pickles import read_pickle

__all__ = ["is_cifar", "load_cifar"]

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32

_Samples = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True)
class _Release:
    """One archive as it unpacks.

    Parameters
    ----------
    name, folder : str
        Of the data set, and of its folder.
    train, test : tuple of str
        Files of each split.
    names : str
        File with the names of the classes.
    read : function of a path
        Pixels (n, 3072) and labels (n,) of a file.
    read_names : function of a path
        Names of the classes.
    """

    name: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    read: Callable[[Path], _Samples]
    read_names: Callable[[Path], tuple[str, ...]]

    def found(self, root: Path) -> Path | None:
        """Its folder, ``root`` or in it, if any of its files is there."""
        for folder in (root, root / self.folder):
            if any((folder / file).is_file() for file in self.train + self.test):
                return folder
        return None


def is_cifar(root: Path) -> bool:
    """Whether a release is in the folder."""
    return any(release.found(root) for release in _RELEASES)


def load_cifar(root: str | Path, split: Split) -> Dataset:
    """CIFAR-10 or CIFAR-100 as pixels (n, 3, 32, 32).

    Parameters
    ----------
    root : path
        The folder of a release (``cifar-10-batches-py``, ``cifar-10-batches-bin``, ``cifar-100-python``,
        ``cifar-100-binary``), or the one that it is in.
    split : {"train", "test"}
        50,000 or 10,000 images.

    Raises
    ------
    InputFileError
        A file is missing, truncated or of another format.

    References
    ----------
    Krizhevsky, "Learning Multiple Layers of Features from Tiny Images".
    """
    found = [(release, folder) for release in _RELEASES if (folder := release.found(Path(root)))]
    if not found:
        raise InputFileError(
            f"{root}: no CIFAR release in it; expected {', '.join(release.folder for release in _RELEASES)}"
        )
    release, folder = found[0]
    classes = release.read_names(folder / release.names)
    parts = []
    for name in release.train if split == "train" else release.test:
        pixels, labels = release.read(folder / name)
        if not len(labels) or labels.min() < 0 or labels.max() >= len(classes):
            raise InputFileError(f"{folder / name}: corrupt: expected labels from 0 to {len(classes) - 1}")
        parts.append((pixels.reshape(-1, *_SHAPE), labels))
    inputs, targets = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Dataset(release.name, inputs, targets, classes, 0)


def _pickled(labels_key: bytes) -> Callable[[Path], _Samples]:
    def read(path: Path) -> _Samples:
        content = read_pickle(path, (b"data", labels_key), "a CIFAR batch")
        pixels, labels = content[b"data"], np.asarray(content[labels_key])
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (_PIXELS,):
            raise InputFileError(f"{path}: corrupt: data is no uint8 array (images, {_PIXELS})")
        if labels.shape != (len(pixels),) or not np.issubdtype(labels.dtype, np.integer):
            raise InputFileError(f"{path}: corrupt: {len(pixels)} images, {labels.shape} labels")
        return pixels, labels.astype(np.int64)

    return read


def _pickled_names(key: bytes) -> Callable[[Path], tuple[str, ...]]:
    def read(path: Path) -> tuple[str, ...]:
        return tuple(name.decode() for name in read_pickle(path, (key,), "the names of CIFAR's classes")[key])

    return read


def _binary(label_bytes: int) -> Callable[[Path], _Samples]:
    def read(path: Path) -> _Samples:
        content = np.frombuffer(read_bytes(path, "CIFAR records"), np.uint8)
        record = label_bytes + _PIXELS
        if len(content) % record:
            raise InputFileError(f"{path}: truncated: {len(content)} bytes, an image has {record}")
        records = content.reshape(-1, record)
        return records[:, label_bytes:], records[:, label_bytes - 1].astype(np.int64)

    return read


def _text_names(path: Path) -> tuple[str, ...]:
    return tuple(read_bytes(path, "the names of CIFAR's classes").decode(errors="replace").split())


_BATCHES = tuple(f"data_batch_{n}" for n in range(1, 6))
_RELEASES = (
    _Release(
        "CIFAR-10",
        "cifar-10-batches-py",
        _BATCHES,
        ("test_batch",),
        "batches.meta",
        _pickled(b"labels"),
        _pickled_names(b"label_names"),
    ),
    _Release(
        "CIFAR-10",
        "cifar-10-batches-bin",
        tuple(f"{batch}.bin" for batch in _BATCHES),
        ("test_batch.bin",),
        "batches.meta.txt",
        _binary(1),
        _text_names,
    ),
    _Release(
        "CIFAR-100",
        "cifar-100-python",
        ("train",),
        ("test",),
        "meta",
        _pickled(b"fine_labels"),
        _pickled_names(b"fine_label_names"),
    ),
    _Release(
        "CIFAR-100",
        "cifar-100-binary",
        ("train.bin",),
        ("test.bin",),
        "fine_label_names.txt",
        _binary(2),
        _text_names,
    ),
)
