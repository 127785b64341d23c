"""Test vectors: inputs, and every layer's integers, as an ``.npz`` file."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from sparta_hw.errors import InputFileError
from sparta_hw.files import read_bytes

__all__ = ["Vectors", "load_vectors", "of_ranks"]

_RANKED = frozenset({"winners", "index", "selected", "query", "key", "value", "attention", "hidden"})


def of_ranks(name: str) -> bool:
    """Whether the first axis of this tensor of docs/dialect.md is the rank, so that a sample has K rows of it."""
    return name.split(".")[0] in _RANKED


@dataclass(frozen=True, eq=False)
class Vectors:
    """Inputs and what each layer must answer.

    Parameters
    ----------
    input : uint8 array (n, T, C, H, W), or (n, C, H, W)
        0 or 1, or pixels 0 to 255.
    labels : int array (n,)
        Classes.
    request : int
        K that was asked for; 0: each sample's own.
    k : int array (n,)
        Tokens that attended.
    tensors : mapping of str to int array
        Integers by the names of docs/dialect.md, sample first. With feedback the samples are one stream: each
        starts from the state that the one before it left, the first from 0.
    """

    input: NDArray[np.uint8]
    labels: NDArray[np.int64]
    request: int
    k: NDArray[np.int64]
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
        return Vectors(
            input=arrays.pop("input"),
            labels=arrays.pop("labels"),
            request=int(arrays.pop("request")),
            k=arrays.pop("k"),
            tensors=arrays,
        )
    except (BadZipFile, ValueError, KeyError, EOFError, AttributeError, OSError) as error:
        raise InputFileError(f"{path}: not {what}, or damaged: {error}; export them again") from error
