"""What passes hand on: the graph, the core, and everything decided so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sparta_hw.config import CoreConfig
from sparta_hw.ir import Graph
from sparta_hw.program import Program
from sparta_hw.tensor_layout import TensorLayout

__all__ = ["Pass", "Plan", "Range", "Tiling"]


@dataclass(frozen=True, kw_only=True)
class Range:
    """Proven bounds of one quantity of one node.

    Parameters
    ----------
    node, quantity : str
        Whose and which numbers.
    low, high : int
        Smallest and largest value that any input can cause.
    bits, available : int
        Width that holds them, and width that the core has.
    limit : str
        Where the available width comes from, for example ``acc_bits``.
    """

    node: str
    quantity: str
    low: int
    high: int
    bits: int
    available: int
    limit: str

    def __str__(self) -> str:
        return (
            f"{self.node}: {self.quantity} {self.low} to {self.high}, "
            f"{self.bits} of {self.available} bits ({self.limit})"
        )


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How one weighted layer lies on the lanes.

    Parameters
    ----------
    in_pitch, run : int
        Entries from one input position to the next, and of one window row.
    kernel_height : int
        Window rows; a window that covers its input is one.
    slots, tiles, out_pitch : int
        Parts of F lanes that fire in each output tile, output tiles, and entries from one output position to the
        next: slots x tiles x F.
    weight_base, weight_pitch : int
        First weight row, and rows from one tile to the next.
    """

    in_pitch: int
    run: int
    kernel_height: int
    slots: int
    tiles: int
    out_pitch: int
    weight_base: int
    weight_pitch: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """One compilation on its way: each pass returns a new one.

    Parameters
    ----------
    graph, config
        What is compiled, for which core.
    ranges : tuple of Range
        Set by :class:`~sparta_hw.passes.ranges.AnalyseRanges`.
    tilings : mapping of node name to Tiling
        Set by :class:`~sparta_hw.passes.tile.TileLayers`.
    layouts : mapping of value name to TensorLayout
        Set by :class:`~sparta_hw.passes.allocate.AllocateTensors`.
    program : Program or None
        Set by :class:`~sparta_hw.passes.emit.EmitProgram`.
    """

    graph: Graph
    config: CoreConfig
    ranges: tuple[Range, ...] = ()
    tilings: Mapping[str, Tiling] = field(default_factory=dict)
    layouts: Mapping[str, TensorLayout] = field(default_factory=dict)
    program: Program | None = None


class Pass(Protocol):
    """A compiler pass: a frozen dataclass whose fields are its options."""

    def run(self, plan: Plan) -> Plan:
        """The plan with what this pass decides."""
