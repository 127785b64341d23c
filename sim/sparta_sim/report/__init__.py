"""The report: one JSON file and one page of Markdown about one network on one core."""

from sparta_sim.report.render import render, summary
from sparta_sim.report.store import read_section, write_report, write_section

__all__ = ["read_section", "render", "summary", "write_report", "write_section"]
