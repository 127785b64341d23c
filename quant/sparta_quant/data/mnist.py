"""MNIST, and what is stored like it: images and labels in the idx format."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparta_hw.errors import InputFileError
from sparta_hw.files import read_bytes
from sparta_quant.data.dataset import Dataset, Split

__all__ = ["is_mnist", "load_mnist"]

_PREFIX: dict[Split, str] = {"train": "train", "test": "t10k"}
_UNSIGNED_BYTES = 8
_CLASSES = tuple(str(digit) for digit in range(10))


def is_mnist(root: Path) -> bool:
    """Whether images of any split are in the folder."""
    return any(_found(root, prefix, "images", 3) for prefix in _PREFIX.values())


def load_mnist(root: str | Path, split: Split) -> Dataset:
    """MNIST as pixels (n, 1, 28, 28).

    Files are ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, and ``t10k-...`` for the test, plain or with
    ``.gz``. An idx file has two zero bytes, the type (8, unsigned bytes), the number of dimensions, each dimension
    as a big-endian word, then the values.

    Raises
    ------
    InputFileError
        A file is missing, truncated or of another format, or there are not as many labels as images.

    References
    ----------
    LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
    """
    images = _read(Path(root), split, "images", 3)
    labels = _read(Path(root), split, "labels", 1)
    if len(images) != len(labels):
        raise InputFileError(f"{root}: {len(images)} images of {split} have {len(labels)} labels")
    if not len(labels) or labels.max() >= len(_CLASSES):
        raise InputFileError(f"{root}: labels of {split} are no digits")
    return Dataset("MNIST", images[:, None], labels.astype(np.int64), _CLASSES, 0)


def _found(root: Path, prefix: str, kind: str, dimensions: int) -> Path | None:
    return next(iter(sorted(root.glob(f"{prefix}-{kind}[-.]idx{dimensions}-ubyte*"))), None)


def _read(root: Path, split: Split, kind: str, dimensions: int) -> NDArray[np.uint8]:
    path = _found(root, _PREFIX[split], kind, dimensions)
    if path is None:
        raise InputFileError(f"{root}: has no {_PREFIX[split]}-{kind}-idx{dimensions}-ubyte, nor with .gz")
    content = read_bytes(path, f"MNIST {kind}")
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InputFileError(f"{path}: not a readable .gz: {error}") from error
    head = struct.Struct(f">HBB{dimensions}I")
    if len(content) < head.size:
        raise InputFileError(f"{path}: truncated: {len(content)} bytes, its header has {head.size}")
    zero, kind_of_value, found, *shape = head.unpack_from(content)
    if (zero, kind_of_value, found) != (0, _UNSIGNED_BYTES, dimensions):
        raise InputFileError(f"{path}: not an idx file of bytes in {dimensions} dimensions")
    if len(content) != head.size + math.prod(shape):
        raise InputFileError(
            f"{path}: damaged: {len(content) - head.size} values, its header says {math.prod(shape)}"
        )
    return np.frombuffer(content, np.uint8, offset=head.size).reshape(shape)
