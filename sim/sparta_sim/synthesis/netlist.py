"""A mapped design as ``write_json`` of yosys gives it: its cells, and where each bit comes from and goes to."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, TypeAlias

__all__ = ["CONSTANTS", "Cell", "Netlist", "bit_at", "count_types"]

Cell: TypeAlias = dict[str, Any]
"""One cell: its ``type``, ``parameters``, ``port_directions`` and ``connections``."""

CONSTANTS = ("0", "1")
"""Bits that no cell drives; the others are numbers, and ``"x"`` and ``"z"``."""


class Netlist:
    """The flat module ``top`` of a netlist, whose ports have one bit each; changes go to the netlist itself.

    Parameters
    ----------
    netlist : dict
        As ``write_json`` of yosys makes it after ``synth_ecp5``.
    top : str
        Name of the module.
    """

    def __init__(self, netlist: dict[str, Any], top: str) -> None:
        module = netlist["modules"][top]
        self.cells: dict[str, Cell] = module["cells"]
        self._ports = module["ports"].values()
        self.loads: dict[object, list[tuple[str, str]]] = defaultdict(list)
        """Readers of each bit as it was given: name of the cell and its port, both empty for a port of the module."""
        self._drivers: dict[object, str] = {}
        for bit, name, port in self._reads():
            self.loads[bit].append((name, port))
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] == "output":
                    self._drivers |= dict.fromkeys(bits, name)

    def of_type(self, kind: str) -> dict[str, Cell]:
        """Cells of that type by name."""
        return {name: cell for name, cell in self.cells.items() if cell["type"] == kind}

    def driver(self, bit: object, kind: str) -> str | None:
        """Name of the cell of that type that drives a bit, if it is one, and still there."""
        name = self._drivers.get(bit, "")
        return name if self.cells.get(name, {}).get("type") == kind else None

    def new_bit(self) -> int:
        """A number that no bit has."""
        return 1 + max(bit for cell in self.cells.values() for bit in _numbers(cell))

    def sweep(self, kind: str) -> None:
        """Drop the cells of a type that are read no more."""
        read = {bit for bit, *_ in self._reads()}
        for name, cell in self.of_type(kind).items():
            outputs = (
                bits
                for port, bits in cell["connections"].items()
                if cell["port_directions"][port] == "output"
            )
            if not any(bit in read for bits in outputs for bit in bits):
                del self.cells[name]

    def _reads(self) -> Iterable[tuple[object, str, str]]:
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] != "output":
                    yield from ((bit, name, port) for bit in bits)
        for port in self._ports:
            if port["direction"] != "input":
                yield from ((bit, "", "") for bit in port["bits"])


def bit_at(cell: Cell, port: str) -> object:
    """What is connected to a port of one bit, ``"0"`` if nothing is."""
    return cell["connections"].get(port, ["0"])[0]


def count_types(netlist: dict[str, Any], top: str) -> dict[str, int]:
    """Cells of the flat module ``top`` by type."""
    return dict(Counter(cell["type"] for cell in netlist["modules"][top]["cells"].values()))


def _numbers(cell: Cell) -> Iterable[int]:
    return (bit for bits in cell["connections"].values() for bit in bits if isinstance(bit, int))
