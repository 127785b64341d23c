"""Pickles that hold data only: whatever else they name is refused, so that opening one runs no code of it."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from sparta_hw.errors import InputFileError
from sparta_hw.files import read_bytes

__all__ = ["read_pickle"]

_reconstruct = np.zeros(0).__reduce__()[0]
_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}
"""What an array is made of, by its names in NumPy 1 and 2."""


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array")
        return _ALLOWED[module, name]


def read_pickle(path: Path, keys: tuple[bytes, ...], what: str) -> dict[bytes, Any]:
    """A dictionary of lists, strings and arrays; strings of Python 2 are bytes.

    Raises
    ------
    InputFileError
        The file is missing or no such pickle, or the dictionary lacks one of ``keys``.
    """
    content = read_bytes(path, what)
    try:
        value = _DataUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged pickle can raise anything
        raise InputFileError(f"{path}: not {what}: {error}") from error
    missing = [key for key in keys if not isinstance(value, dict) or key not in value]
    if missing:
        raise InputFileError(f"{path}: not {what}: it has no {missing[0].decode()!r}")
    return value


def _latin1(text: str, encoding: str) -> bytes:
    """Bytes, as Python 3 writes them in the protocols of Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes in {encoding!r}")
    return text.encode("latin1")
