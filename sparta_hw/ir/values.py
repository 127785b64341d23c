"""Values with shape, fixed-point type and kind; what every operation has."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from sparta_hw.numerics import FixedPoint

__all__ = ["IntArray", "Kind", "Operation", "Value"]

IntArray = NDArray[np.int64]


class Kind(Enum):
    """What the integers of a value are."""

    SPIKES = "spikes"
    """Zeros and ones over time, shape (T, C, H, W)."""
    INTEGERS = "integers"
    """Fixed-point numbers."""
    INDEX = "index"
    """Token indices in rank order."""


@dataclass(frozen=True)
class Value:
    """A named tensor of one sample.

    Parameters
    ----------
    name : str
        The tensor's name in the ONNX file and in reports.
    shape : tuple of int
        Without the batch dimension. Values in rank order have :attr:`Graph.ranks` rows.
    type : FixedPoint
        Grid and range.
    kind : Kind
        Spikes, integers or indices.
    """

    name: str
    shape: tuple[int, ...]
    type: FixedPoint
    kind: Kind = Kind.INTEGERS

    def __str__(self) -> str:
        return f"{self.name}: {self.kind.value} {'x'.join(map(str, self.shape))} {self.type}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation:
    """One operation; ``node`` is the ONNX node users know it by."""

    node: str
    output: Value
