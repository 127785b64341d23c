"""Top-K selection of up to 192 of 256 tokens, by both units: cycles, exact, and logic, from yosys for ECP5."""

from collections.abc import Iterator
from pathlib import Path

from sparta_rtl.generate import unit_verilog
from sparta_rtl.topk import TopKParams, TopKUnit
from sparta_rtl.topk_radix import TopKRadix
from sparta_rtl.topk_sorter import RANKED_CYCLES, TopKSorter
from sparta_sim.limits import Ratio
from sparta_sim.synthesis import count_cells, lut_equivalents

__all__ = ["topk_ratios"]

_PARAMS = TopKParams(tokens=256, cells=192, key_bits=12)
_LUT_EQ_A_CELL, _LUT_EQ = 110, 2000
"""Goals; an open serial sorter takes 218 a cell, an open bitonic network 220,000 in all."""


def topk_ratios(folder: Path) -> Iterator[Ratio]:
    """Cycles from the first token on against the N that they take to come; logic against its goal."""
    n, k = _PARAMS.tokens, _PARAMS.cells
    name = f"top-K, N = {n}, K = {k}"
    yield Ratio(f"{name}: sorter, all ranks", n + RANKED_CYCLES, n, goal=(n + 4) / n)
    for unit in (TopKSorter, TopKRadix):
        last = n + unit.first_cycles(_PARAMS, n, k) + k - 1
        yield Ratio(f"{name}: {unit.__name__}, last index sent", last, n, goal=2)
    sorter, radix = (_lut_eq(unit, folder) for unit in (TopKSorter, TopKRadix))
    yield Ratio(f"{name}: sorter, a cell", sorter / k, _LUT_EQ_A_CELL, unit="LUT-eq", goal=1)
    yield Ratio(f"{name}: radix selection", radix, _LUT_EQ, unit="LUT-eq", goal=1)


def _lut_eq(unit: type[TopKUnit], folder: Path) -> int:
    name = unit.__name__.lower()
    return lut_equivalents(count_cells(unit_verilog(unit(_PARAMS), name), name, folder / name))
