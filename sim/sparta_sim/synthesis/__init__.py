"""Verilog to an FPGA bitstream with tools from PyPI, and the numbers it costs."""

from sparta_sim.synthesis.critical import CriticalPath, Step, parse_critical_path
from sparta_sim.synthesis.flow import Synthesis, count_cells, synthesise
from sparta_sim.synthesis.parse import Resources, lut_equivalents, parse_reports

__all__ = [
    "CriticalPath",
    "Resources",
    "Step",
    "Synthesis",
    "count_cells",
    "lut_equivalents",
    "parse_critical_path",
    "parse_reports",
    "synthesise",
]
