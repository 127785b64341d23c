"""Configuration in, Verilog out."""

from amaranth.back import verilog

from sparta_hw.config import CoreConfig
from sparta_rtl.core import Core
from sparta_rtl.top import Top

__all__ = ["core_verilog", "top_verilog"]


def core_verilog(config: CoreConfig) -> str:
    """Verilog of the core with its trace outputs, module ``sparta_core``: what is simulated."""
    return verilog.convert(Core(config), name="sparta_core", emit_src=False)


def top_verilog(config: CoreConfig) -> str:
    """Verilog of the same core without trace outputs, module ``sparta_top``: what is synthesised."""
    return verilog.convert(Top(config), name="sparta_top", emit_src=False)
