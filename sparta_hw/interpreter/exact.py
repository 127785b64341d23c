"""Integer matrix products at the speed of bytes or floating point, wherever that is exact."""

from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from sparta_hw.interpreter.byte_products import byte_product
from sparta_hw.ir import Projection, SpikingConv
from sparta_hw.numerics import FixedPoint

__all__ = ["Factor", "exact_matmul", "weights_of"]

_BYTE = FixedPoint(8, 0)


class Factor:
    """The right factor (..., K, N) of exact products, converted once for each kind of arithmetic."""

    def __init__(self, matrix: NDArray[np.integer]) -> None:
        self.matrix = matrix
        self.largest = _magnitude(matrix)
        self.is_bytes = self.largest <= -_BYTE.min and matrix.max(initial=0) <= _BYTE.max

    @cached_property
    def sum(self) -> int:
        """Largest sum of magnitudes of a column."""
        return int(np.abs(self.matrix.astype(np.int64)).sum(axis=-2).max(initial=0))

    @cached_property
    def bytes(self) -> NDArray[np.int8]:
        return self.matrix.astype(np.int8)

    @cached_property
    def single(self) -> NDArray[np.float32]:
        return self.matrix.astype(np.float32)

    @cached_property
    def double(self) -> NDArray[np.float64]:
        return self.matrix.astype(np.float64)


def exact_matmul(
    left: NDArray[np.integer], right: NDArray[np.integer] | Factor, top: int | None = None
) -> NDArray[np.signedinteger]:
    """``left @ right``; int32 where all sums lie within 2^30, so that a bias may be added, else int64.

    Every partial sum lies within ``max |left| * sum |right|``. Below 2^24 (2^53) each is an integer that
    float32 (float64) holds exactly, in any order of summation, so BLAS may compute it. Matrices of bytes go to
    ONNX Runtime, unless two products of a sum might reach 2^15. ``top`` is ``max |left|``, where it is known.
    """
    factor = right if isinstance(right, Factor) else Factor(right)
    magnitude = _magnitude(left) if top is None else top
    bound = magnitude * factor.largest * left.shape[-1]
    if bound >= 1 << 24:
        bound = magnitude * factor.sum
    result = np.int32 if bound < 1 << 30 else np.int64
    if _are_bytes(left, factor, magnitude) and result is np.int32:
        sums = byte_product(left.astype(np.uint8, copy=False), factor.bytes)
        if sums is not None:
            return sums
    if bound < 1 << 24:
        return np.matmul(left.astype(np.float32), factor.single).astype(result)
    if bound < 1 << 53:
        return np.matmul(left.astype(np.float64), factor.double).astype(result)
    return np.matmul(left.astype(np.int64), factor.matrix.astype(np.int64))


def _magnitude(values: NDArray[np.integer]) -> int:
    return max(int(values.max(initial=0)), -int(values.min(initial=0)))


def _are_bytes(left: NDArray[np.integer], right: Factor, magnitude: int) -> bool:
    pairs_fit = 2 * magnitude * right.largest < 1 << 15
    return pairs_fit and right.is_bytes and left.dtype == np.uint8 and left.ndim == right.matrix.ndim == 2


_WEIGHTS: WeakKeyDictionary[SpikingConv | Projection, Factor] = WeakKeyDictionary()


def weights_of(op: SpikingConv | Projection) -> Factor:
    """Weights (kernel rows, columns and inputs; outputs); kept with the operation, and read-only from now on."""
    if op not in _WEIGHTS:
        op.weight.setflags(write=False)
        _WEIGHTS[op] = Factor(np.moveaxis(op.weight, (0, 1), (-1, -2)).reshape(-1, len(op.weight)))
    return _WEIGHTS[op]
