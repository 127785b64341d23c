"""One module per command: ``NAME``, ``HELP``, ``add_arguments``, ``run``. They import what they need when they run."""

from sparta_hw.commands import compile, cosim, estimate, export, report, rtl, synth, train

__all__ = ["COMMANDS"]

COMMANDS = (train, export, compile, rtl, cosim, estimate, synth, report)
"""In the order of the flow."""
