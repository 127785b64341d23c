"""Test vectors: inputs, and every layer's integers at one K, as an ``.npz`` file."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from sparta_hw.errors import InputFileError
from sparta_hw.files import read_bytes

__all__ = ["Vectors", "load_vectors"]


@dataclass(frozen=True, eq=False)
class Vectors:
    """Inputs and what each layer must answer.

    Parameters
    ----------
    input : uint8 array (n, T, C, H, W)
        0 or 1.
    labels : int array (n,)
        Classes.
    k : int
        Tokens that attended.
    tensors : mapping of str to int array
        Integers by the names of docs/dialect.md, sample first.
    """

    input: NDArray[np.uint8]
    labels: NDArray[np.int64]
    k: int
    tensors: Mapping[str, NDArray]


def load_vectors(path: str | Path) -> Vectors:
    """Read a file that ``sparta-hw export`` wrote.

    Raises
    ------
    InputFileError
        The file is missing, truncated, or no such file.
    """
    what = "test vectors (.npz)"
    try:
        with np.load(BytesIO(read_bytes(path, what)), allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        return Vectors(arrays.pop("input"), arrays.pop("labels"), int(arrays.pop("k")), arrays)
    except (BadZipFile, ValueError, KeyError, EOFError, AttributeError, OSError) as error:
        raise InputFileError(f"{path}: not {what}, or damaged: {error}; export them again") from error
