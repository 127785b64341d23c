"""The numerics contract: what a number is, how it is rounded, when it saturates.

A number is an integer times ``2**-frac``. There is one rounding mode, floor (an arithmetic shift to the
right), and one overflow mode, saturation where a value enters a narrower format. The quantisers, the
interpreter and the hardware generator all use the definitions of this module.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EXP_TABLE",
    "RECIPROCAL_TABLE",
    "FixedPoint",
    "floor_shift",
    "saturate",
    "signed_bits",
    "unsigned_bits",
]

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class FixedPoint:
    """Format of an integer that stands for ``integer * 2**-frac``.

    Parameters
    ----------
    bits : int
        Width, 1 to 62, sign included.
    frac : int
        Fractional bits; may be negative.
    signed : bool
        Two's complement when true.
    """

    bits: int
    frac: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 62:
            raise ValueError(f"a fixed-point number has 1 to 62 bits, not {self.bits}")

    @property
    def min(self) -> int:
        """Smallest integer of the format."""
        return -(1 << self.bits - 1) if self.signed else 0

    @property
    def max(self) -> int:
        """Largest integer of the format."""
        return (1 << self.bits - 1) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def magnitude(self) -> int:
        """Largest magnitude of an integer of the format."""
        return max(self.max, -self.min)

    @property
    def scale(self) -> float:
        """Real value of one least significant bit."""
        return 2.0**-self.frac

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}.{self.frac}"


def floor_shift(value: IntArray, shift: int) -> IntArray:
    """``floor(value / 2**shift)``; a negative shift multiplies."""
    return value >> shift if shift >= 0 else value << -shift


def saturate(value: IntArray, fmt: FixedPoint) -> IntArray:
    """The nearest integer that ``fmt`` can hold."""
    return np.clip(value, fmt.min, fmt.max)


def signed_bits(low: int, high: int) -> int:
    """Width of the two's complement format that holds every integer from ``low`` to ``high``."""
    return max(int(high).bit_length(), int(~low).bit_length() if low < 0 else 0) + 1


def unsigned_bits(high: int) -> int:
    """Width of the unsigned format that holds 0 to ``high``, at least 1."""
    return max(int(high).bit_length(), 1)


EXP_TABLE: tuple[int, ...] = tuple(round(2.0 ** (12 - n / 16)) for n in range(16))
"""``round(2**12 * 2**(-n/16))``: the fraction of a base-2 exponential, u13.12."""

RECIPROCAL_TABLE: tuple[int, ...] = tuple((1 << 15) // (128 + n) for n in range(128))
"""``2**15 // (128 + n)``: the reciprocal of an 8-bit mantissa, 9 bits."""
