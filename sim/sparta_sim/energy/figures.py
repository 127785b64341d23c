"""Energy of single operations and memory accesses in 45 nm CMOS at 0.9 V, with the rules between the figures.

All of it is from literature, none measured here: "Computing's energy problem (and what we can do
about it)", ISSCC 2014, pages 10-14, figure 1.1.9.
"""

from dataclasses import dataclass
from math import log

__all__ = ["FIGURES", "Figure", "access_pj", "adder_pj", "dram_pj", "multiplier_pj"]

KEYNOTE = "Computing's energy problem, ISSCC 2014, fig. 1.1.9 (45 nm, 0.9 V)"
SNN_HABIT = "fp32 figure of the same source, as spiking network papers use it"


@dataclass(frozen=True)
class Figure:
    """A published number: value, unit, and where it is from."""

    value: float
    unit: str
    source: str


FIGURES = {
    "add_int8": Figure(0.03, "pJ", KEYNOTE),
    "add_int32": Figure(0.1, "pJ", KEYNOTE),
    "mult_int8": Figure(0.2, "pJ", KEYNOTE),
    "mult_int32": Figure(3.1, "pJ", KEYNOTE),
    "sram_64bit_8KB": Figure(10.0, "pJ", KEYNOTE),
    "sram_64bit_32KB": Figure(20.0, "pJ", KEYNOTE),
    "sram_64bit_1MB": Figure(100.0, "pJ", KEYNOTE),
    "dram_64bit_low": Figure(1300.0, "pJ", KEYNOTE),
    "dram_64bit_high": Figure(2600.0, "pJ", KEYNOTE),
    "legacy_ac_fp32": Figure(0.9, "pJ", SNN_HABIT),
    "legacy_mac_fp32": Figure(4.6, "pJ", SNN_HABIT),
}
"""DRAM counts for streamed weights only; a core that does not stream them makes no DRAM access."""

_SRAM_POINTS = ((8 << 10, "sram_64bit_8KB"), (32 << 10, "sram_64bit_32KB"), (1 << 20, "sram_64bit_1MB"))


def _line(x: float, x0: float, x1: float, low: str, high: str) -> float:
    y0, y1 = FIGURES[low].value, FIGURES[high].value
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def adder_pj(bits: int) -> float:
    """Energy of an addition, subtraction or comparison: linear in the width, through int8 and int32."""
    return _line(bits, 8, 32, "add_int8", "add_int32")


def multiplier_pj(bits_a: int, bits_b: int) -> float:
    """Energy of a multiplication: linear in the product of the widths, through 8 x 8 and 32 x 32."""
    return _line(bits_a * bits_b, 64, 1024, "mult_int8", "mult_int32")


def dram_pj(bits: int) -> float:
    """Energy of reading ``bits`` from external DRAM: the middle of the published range, proportional to the width."""
    return (FIGURES["dram_64bit_low"].value + FIGURES["dram_64bit_high"].value) / 2 * bits / 64


def access_pj(bits: int, capacity_bits: int) -> float:
    """Energy of one access of ``bits`` to a memory of ``capacity_bits``.

    Proportional to the width of the access; between the published sizes a power law of the size (a straight
    line in both logarithms), continued with the slope of the nearest two below 8 KB and above 1 MB.
    """
    size = capacity_bits / 8
    below, above = _SRAM_POINTS[:2] if size < _SRAM_POINTS[1][0] else _SRAM_POINTS[1:]
    low, high = FIGURES[below[1]].value, FIGURES[above[1]].value
    slope = log(high / low) / log(above[0] / below[0])
    return low * (size / below[0]) ** slope * bits / 64
