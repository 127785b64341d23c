"""What Verilator counted in a simulation: lines that ran and bits that changed, and those that never did."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparta_hw.errors import SpartaError

__all__ = ["Coverage", "Hole", "read_coverage"]

_HEADER = "# SystemC::Coverage"
_MODULE = re.compile(r"^module\s+\\?([^\s(;]+)")
_REGISTER = re.compile(r"^\s*(\S+?)\s*(?:\[[^=]*\])?\s*<= ")
_MANGLED = re.compile(r"__0([0-9A-Fa-f]{2})")
_GENERATED = "dump_module"
"""In a line that yosys' Verilog writer adds to every process; its condition is constant."""


@dataclass(frozen=True)
class Hole:
    """Something that never happened in a simulation.

    Parameters
    ----------
    kind : str
        ``line``: a branch of the Verilog never ran; ``toggle``: bits of a register never rose or never fell.
    module : str
        Module of the Verilog, which is an instance in Amaranth.
    what : str
        The line, or the register.
    bits : tuple of str
        Which bits, each with the change that is missing (``[3]:0->1``); empty for a line.
    whole : bool
        A line; or a register that never changed at all.
    """

    kind: str
    module: str
    what: str
    bits: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.module}: {self.what}" + (
            f" ({len(self.bits)} changes)" if self.bits else ""
        )


@dataclass(frozen=True)
class Coverage:
    """Points of one kind that were reached, of how many there are, and the holes between them.

    Parameters
    ----------
    total, reached : Counter
        By kind (``line``, ``toggle``). Lines: every branch of every process. Toggles: both changes of every
        bit of every register and memory; wires follow from these.
    holes : tuple of Hole
        Points that were not reached, grouped by line and by register.
    """

    total: Counter[str]
    reached: Counter[str]
    holes: tuple[Hole, ...]


def read_coverage(path: Path, verilog: str) -> Coverage:
    """Read what :meth:`~sparta_sim.simulation.CoreSimulation.write_coverage` wrote.

    Parameters
    ----------
    path : Path
        Coverage file of Verilator.
    verilog : str
        Text that was simulated.

    Raises
    ------
    SpartaError
        The file is not one that Verilator wrote.
    """
    lines, registers = verilog.splitlines(), _registers(verilog)
    total, reached = Counter[str](), Counter[str]()
    missing: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    changed = set[tuple[str, str, str]]()
    for point in _points(path):
        style, _, module = point["page"].partition("/")
        if style == "v_toggle":
            name, bit = _register_bit(point["o"])
            if name not in registers.get(module, ()):
                continue
            kind, where = "toggle", name
        else:
            number = int(point["l"])
            if _GENERATED in lines[number - 1]:
                continue
            kind, where, bit = "line", _with_context(lines, number, point["o"]), ""
        total[kind] += 1
        reached[kind] += bool(point["count"])
        if not point["count"]:
            missing[kind, module, where].append(bit)
        elif bit:
            changed.add((kind, module, where))
    holes = (
        Hole(*key, tuple(filter(None, bits)), key not in changed) for key, bits in sorted(missing.items())
    )
    return Coverage(total, reached, tuple(holes))


def _points(path: Path) -> Iterator[dict]:
    with path.open(encoding="latin-1") as file:
        if not file.readline().startswith(_HEADER):
            raise SpartaError(f"{path} is not a coverage file of Verilator")
        for line in file:
            key, _, count = line.removeprefix("C '").rpartition("' ")
            yield dict(field.split("\x02", 1) for field in key.split("\x01")[1:]) | {"count": int(count)}


def _register_bit(what: str) -> tuple[str, str]:
    """Name of a register, and its bit with the change, of a toggle point."""
    name, bracket, rest = _MANGLED.sub(lambda code: chr(int(code[1], 16)), what).partition("[")
    if not bracket:
        name, bracket, rest = name.partition(":")
    return name, bracket + rest


def _registers(verilog: str) -> dict[str, set[str]]:
    """Names of the registers and memories of each module: what a clock edge assigns."""
    found: dict[str, set[str]] = defaultdict(set)
    module = ""
    for line in verilog.splitlines():
        if match := _MODULE.match(line):
            module = match[1]
        elif match := _REGISTER.match(line):
            found[module].add(match[1].lstrip("\\"))
    return found


def _with_context(lines: Sequence[str], number: int, branch: str) -> str:
    """A line of code, with what stands before it and after it: numbers change, code does not."""
    code = [line.strip() for line in lines[number - 2 : number + 1]]
    return f"{branch}: {' / '.join(code)}"
