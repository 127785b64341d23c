"""Configuration in, Verilog out."""

from amaranth.back import verilog
from amaranth.hdl import Elaboratable

from sparta_hw.config import CoreConfig
from sparta_rtl.core import Core
from sparta_rtl.memory import RAM_VERILOG, VerilogTarget
from sparta_rtl.top import Top

__all__ = ["core_verilog", "top_verilog"]


def core_verilog(config: CoreConfig) -> str:
    """Verilog of the core with its trace outputs, module ``sparta_core``: what is simulated."""
    return _verilog(Core(config), "sparta_core")


def top_verilog(config: CoreConfig) -> str:
    """Verilog of the same core without trace outputs, module ``sparta_top``: what is synthesised."""
    return _verilog(Top(config), "sparta_top")


def _verilog(design: Elaboratable, name: str) -> str:
    text = verilog.convert(design, name=name, platform=VerilogTarget(), emit_src=False)
    return f"{text}\n{RAM_VERILOG.read_text()}"
