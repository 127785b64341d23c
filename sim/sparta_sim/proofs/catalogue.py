"""All proofs of the project."""

from functools import partial

from sparta_sim.proofs.contract import Proof
from sparta_sim.proofs.division import DividerContract
from sparta_sim.proofs.memory_port import StreamerContract
from sparta_sim.proofs.neurons import FireLaneContract, MembraneContract
from sparta_sim.proofs.selection import SorterContract
from sparta_sim.proofs.streams import FifoContract, SliceContract

__all__ = ["PROOFS"]

_STREAM = "nothing lost, duplicated, reordered or changed under any backpressure"
_STREAMER = "no beat lost, repeated, misplaced or early; AXI rules; restarts and errors in mid-burst"
_SORTER = "order, maxima, ties by index, for any keys, K and gaps"

PROOFS = (
    Proof("register slice", _STREAM, SliceContract, 20),
    Proof("queue of 4", _STREAM, partial(FifoContract, 4), 12),
    Proof(
        "membrane, 8 bits", "v + ((x - v) leak >> 5) lies between v and x", partial(MembraneContract, 8, 5), 1
    ),
    Proof(
        "fire lane, 4 bits",
        "spikes of Algorithm 1; the membrane never leaves its width",
        FireLaneContract,
        13,
    ),
    Proof("sorter, 2 of 4", _SORTER, partial(SorterContract, 2, 4, 3), 11),
    Proof("sorter, 3 of 3", _SORTER, partial(SorterContract, 3, 3, 3), 11),
    Proof("weight streamer", _STREAMER, StreamerContract, 12),
    Proof("divider, 8 bits", "floor of the division, at its cycle", partial(DividerContract, 8, 4, 4), 14),
)
"""Sizes that an SMT solver decides within a minute; a unit's source is the same for every size."""
