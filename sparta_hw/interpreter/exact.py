"""Integer matrix products at the speed of floating point, wherever that is exact."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["exact_matmul"]

IntArray = NDArray[np.int64]


def exact_matmul(left: NDArray[np.integer], right: NDArray[np.integer]) -> IntArray:
    """``left @ right`` as int64.

    Every partial sum lies within ``max |left| * sum |right|``. Below 2^24 (2^53) each is an integer that
    float32 (float64) holds exactly, in any order of summation, so BLAS may compute it.
    """
    if not left.size or not right.size:
        return np.matmul(left, right).astype(np.int64)
    magnitude = max(int(left.max()), -int(left.min()))
    bound = magnitude * int(np.abs(right.astype(np.int64)).sum(axis=-2).max())
    if bound < 1 << 24:
        return np.matmul(left.astype(np.float32), right.astype(np.float32)).astype(np.int64)
    if bound < 1 << 53:
        return np.matmul(left.astype(np.float64), right.astype(np.float64)).astype(np.int64)
    return np.matmul(left.astype(np.int64), right.astype(np.int64))
