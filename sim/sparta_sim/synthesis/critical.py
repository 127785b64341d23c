"""The critical path of a routed design, by line of the hardware's source."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from sparta_hw.errors import InputFileError
from sparta_sim.synthesis.parse import load_report, number

__all__ = ["CriticalPath", "Step", "parse_critical_path"]

_PART = re.compile(r"\$[A-Z][A-Z0-9_]*$")
"""What nextpnr adds to a cell's name for a part of it: CCU2_COMB1, DPRAM_COMB2, RAMW_SLICE."""

_PYTHON_LINE = re.compile(r"[\w./-]+\.py:\d+")
_PADS = "<async>"
"""Where a path begins or ends that has no clock at that end."""
_KINDS = {"clk-to-q": "logic", "logic": "logic", "setup": "logic", "routing": "routing"}


@dataclass(frozen=True, kw_only=True)
class Step:
    """Consecutive cells of a path that come from one line, and the wires that lead on from them.

    Parameters
    ----------
    source : str
        ``file:line`` in Python; empty where the tools kept none.
    cell : str
        Name of the first of the cells.
    logic_ns, routing_ns : float
        Delay of the cells, and of the wires behind them.
    """

    source: str
    cell: str
    logic_ns: float
    routing_ns: float


@dataclass(frozen=True, kw_only=True)
class CriticalPath:
    """From register to register, the slowest of the slowest clock; ends at the register of the last step.

    Parameters
    ----------
    steps : tuple of Step
    """

    steps: tuple[Step, ...]

    @property
    def logic_ns(self) -> float:
        """Delay in cells, setup included."""
        return sum(step.logic_ns for step in self.steps)

    @property
    def routing_ns(self) -> float:
        """Delay in wires."""
        return sum(step.routing_ns for step in self.steps)

    @property
    def lines(self) -> list[str]:
        """Source lines in the order of the path."""
        return [step.source or step.cell for step in self.steps]


def parse_critical_path(place: Path, netlist: Path, top: str) -> CriticalPath:
    """The slowest clock's critical path, each cell with its line.

    A cell that synthesis made itself is named after the nearest one, or the nearest wire, that has a line: the tools
    name cells ``<wire>_<type>_<port>`` and wires ``<cell>_<port>``.

    Parameters
    ----------
    place : Path
        ``--report`` of nextpnr.
    netlist : Path
        ``-json`` of yosys, from which the design was placed.
    top : str
        Its top module.

    Raises
    ------
    InputFileError
        A file is missing, is not such a report, or names cells that the other does not have.
    """
    path = _slowest(load_report(place, "nextpnr"), place)
    sources = _Sources(load_report(netlist, "yosys netlist"), netlist, top)
    hops = [
        (sources.line(cell), cell, kind, delay) for cell, kind, delay in (_hop(hop, place) for hop in path)
    ]
    steps = []
    for source, together in groupby(hops, key=lambda hop: hop[0]):
        same = list(together)
        delays = {kind: sum(hop[3] for hop in same if hop[2] == kind) for kind in ("logic", "routing")}
        steps.append(
            Step(source=source, cell=same[0][1], logic_ns=delays["logic"], routing_ns=delays["routing"])
        )
    return CriticalPath(steps=tuple(steps))


def _hop(hop: Mapping[str, Any], place: Path) -> tuple[str, str, float]:
    """The cell that a delay begins at (with setup: ends at), whether it is logic or routing, and ns."""
    try:
        kind = _KINDS[hop["type"]]
        cell = str(hop["to" if hop["type"] == "setup" else "from"]["cell"])
    except (KeyError, TypeError) as error:
        raise InputFileError(f"{place}: a step of the critical path has no known type and cell") from error
    return cell, kind, number(hop, ("delay",), place, float)


def _slowest(report: Mapping[str, Any], place: Path) -> list[Mapping[str, Any]]:
    """The hops of the longest path that begins and ends at one clock's edge."""
    paths = report.get("critical_paths")
    if not isinstance(paths, list):
        raise InputFileError(f"{place}: the report has no critical_paths")
    found = []
    for path in paths:
        hops = path.get("path") if isinstance(path, Mapping) else None
        if not isinstance(hops, list) or not all(isinstance(hop, Mapping) for hop in hops):
            raise InputFileError(f"{place}: a critical path of the report has no path")
        if hops and path.get("from") == path.get("to") != _PADS:
            found.append((sum(number(hop, ("delay",), place, float) for hop in hops), hops))
    if not found:
        raise InputFileError(f"{place}: the report has no critical path from a clock to itself")
    return max(found, key=lambda item: item[0])[1]


class _Sources:
    """Lines of the cells and wires of a netlist."""

    def __init__(self, report: Mapping[str, Any], netlist: Path, top: str) -> None:
        module = report.get("modules", {}).get(top)
        if not isinstance(module, Mapping) or not {"cells", "netnames"} <= module.keys():
            raise InputFileError(f"{netlist}: the netlist has no module {top}")
        self._netlist, self._cells = netlist, module["cells"]
        self._lines: dict[str, str] = {}
        for things in (module["netnames"], self._cells):
            for name, thing in things.items():
                lines = _PYTHON_LINE.findall(thing.get("attributes", {}).get("src", ""))
                if lines:
                    self._lines[name] = lines[0]

    def line(self, cell: str) -> str:
        """Of the cell, or of what it is named after."""
        cell = _PART.sub("", cell)
        if cell not in self._cells:
            raise InputFileError(
                f"{self._netlist}: the netlist has no cell {cell!r}, which is on the critical path"
            )
        name = cell
        while name not in self._lines:
            name, separator, _ = name.rpartition("_")
            if not separator:
                return ""
        return self._lines[name]
