"""Configuration in, Verilog out."""

import re
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import Signal, Value
from amaranth.lib import wiring

from sparta_hw.config import CoreConfig
from sparta_rtl.core import Core
from sparta_rtl.memory import RAM_VERILOG, VerilogTarget
from sparta_rtl.top import Top

__all__ = ["core_verilog", "top_verilog", "unit_ports", "unit_verilog"]

_KEYWORDS = frozenset({"final"})
"""Names of members that Verilator does not take as ports."""


def core_verilog(config: CoreConfig) -> str:
    """Verilog of the core with its trace outputs, module ``sparta_core``: what is simulated."""
    return unit_verilog(Core(config), "sparta_core")


def top_verilog(config: CoreConfig) -> str:
    """Verilog of the same core without trace outputs, module ``sparta_top``: what is synthesised.

    Its cells and wires say which line of the sources they are from, for the report of the critical path.
    """
    text = unit_verilog(Top(config), "sparta_top", lines=True)
    return re.sub(r'(?<=src = ")[^":]+', lambda found: _project_path(Path(found[0])), text)


def _project_path(file: Path) -> str:
    """A source file as the project, or the package that it is from, knows it: nothing of this machine's folders."""
    for package, folder in (("sparta_rtl", "rtl/"), ("amaranth", "")):
        if package in file.parts:
            first = len(file.parts) - 1 - file.parts[::-1].index(package)
            return folder + "/".join(file.parts[first:])
    return file.name


def unit_ports(unit: wiring.Component) -> dict[str, Signal]:
    """Ports by Verilog name; ``ready`` of a stream that is always ready is none.

    Members are joined by ``__``; a keyword of SystemVerilog ends with ``_``.
    """
    members = ((path, Value.cast(value)) for path, _, value in unit.signature.flatten(unit))
    names = {"__".join(map(str, path)): value for path, value in members if isinstance(value, Signal)}
    return {f"{name}_" if name in _KEYWORDS else name: value for name, value in names.items()}


def unit_verilog(unit: wiring.Component, name: str, *, lines: bool = False) -> str:
    """Verilog of any part of a core, module ``name``; with ``lines`` of the sources, as Amaranth knows them."""
    signals = unit_ports(unit)
    # Amaranth takes all members as ports, with their directions, but refuses a constant among them.
    whole = signals.keys() == {"__".join(map(str, path)) for path, *_ in unit.signature.flatten(unit)}
    ports = None if whole else {port: (signal, None) for port, signal in signals.items()}
    text = verilog.convert(unit, name=name, platform=VerilogTarget(), emit_src=lines, ports=ports)
    return f"{text}\n{RAM_VERILOG.read_text()}"
