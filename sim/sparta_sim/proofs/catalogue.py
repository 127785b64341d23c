"""All proofs of the project."""

from functools import partial

from sparta_sim.proofs.contract import Proof
from sparta_sim.proofs.division import DividerContract
from sparta_sim.proofs.fire_lane import FireLaneContract
from sparta_sim.proofs.memory_port import StreamerContract
from sparta_sim.proofs.neurons import MembraneContract
from sparta_sim.proofs.selection import RadixContract, SorterContract
from sparta_sim.proofs.sorting import CellsContract
from sparta_sim.proofs.streams import FifoContract, SliceContract

__all__ = ["PROOFS"]

_STREAM = "nothing lost, duplicated, reordered or changed under any backpressure"
_STREAMER = "no beat lost, repeated, misplaced or early; AXI rules; restarts and errors in mid-burst"
_BETWEEN = "v + ((x - v) leak >> q) lies between v and x"
_DIVIDER = "floor of the division, at its cycle"
_SORTER = "order, maxima, ties by index, cycles, for any keys, K and gaps"
_CELLS = "the token that r others rank before is in cell r, for any keys and gaps"
_RADIX = "maxima, ties by index, cycles, for any keys and K"

PROOFS = (
    Proof("register slice", _STREAM, SliceContract, 6, forever=True),
    Proof("queue of 4", _STREAM, partial(FifoContract, 4), 8, forever=True),
    Proof("membrane, 8 bits", _BETWEEN, partial(MembraneContract, 8, 5), 1),
    Proof(
        "membrane, 5 bits",
        f"{_BETWEEN}, so v never leaves its width",
        partial(MembraneContract, 5, 3),
        1,
        forever=True,
    ),
    Proof(
        "fire lane, 4 bits",
        "spikes of Algorithm 1, of two neurons in turn; the membrane never leaves its width",
        FireLaneContract,
        2,
        forever=True,
    ),
    Proof("sorter, 2 of 4", _SORTER, partial(SorterContract, 2, 4, 3), 12),
    Proof("sorter, 3 of 3", _SORTER, partial(SorterContract, 3, 3, 3), 12),
    Proof("sorter cells, 4 of 16", _CELLS, partial(CellsContract, 4, 16, 4), 6, forever=True),
    Proof("radix selection, 2 of 3", _RADIX, partial(RadixContract, 2, 3, 3), 24),
    Proof("radix selection, 3 of 5", _RADIX, partial(RadixContract, 3, 5, 3), 28),
    Proof("weight streamer", _STREAMER, StreamerContract, 12),
    Proof("divider, 8 bits", _DIVIDER, partial(DividerContract, 8, 4, 4), 2, forever=True),
    Proof("divider, 2 bits a cycle", _DIVIDER, partial(DividerContract, 7, 4, 3, 2), 2, forever=True),
)
"""Sizes that an SMT solver decides within a minute; a unit's source is the same for every size."""
