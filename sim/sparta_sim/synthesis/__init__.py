"""Verilog to an FPGA bitstream with tools from PyPI, and the numbers it costs."""

from sparta_sim.synthesis.flow import synthesise
from sparta_sim.synthesis.parse import Resources, parse_reports

__all__ = ["Resources", "parse_reports", "synthesise"]
