"""Configuration in, Verilog out."""

import re
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import Elaboratable

from sparta_hw.config import CoreConfig
from sparta_rtl.core import Core
from sparta_rtl.memory import RAM_VERILOG, VerilogTarget
from sparta_rtl.top import Top

__all__ = ["core_verilog", "top_verilog", "unit_verilog"]


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


def unit_verilog(design: Elaboratable, name: str, *, lines: bool = False) -> str:
    """Verilog of any part of a core, module ``name``; with ``lines`` of the sources, as Amaranth knows them."""
    text = verilog.convert(design, name=name, platform=VerilogTarget(), emit_src=lines)
    return f"{text}\n{RAM_VERILOG.read_text()}"
