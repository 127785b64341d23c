"""Generate the Verilog of a core: core.v (with trace outputs, for simulation) and top.v (for synthesis)."""

import argparse

from sparta_hw.commands.options import add_output, make_output

NAME = "rtl"
HELP = "core configuration to Verilog"
EXAMPLE = "example: sparta-hw rtl build/x/program.bin -o build/x"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("core", help="a program.bin, a core configuration's name, or its JSON file")
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Write core.v and top.v."""
    from sparta_hw.commands.program_files import config_of
    from sparta_hw.files import write_text
    from sparta_rtl.generate import core_verilog, top_verilog

    config = config_of(options.core)
    folder = make_output(options.output)
    write_text(folder / "core.v", core_verilog(config))
    write_text(folder / "top.v", top_verilog(config))
    print(f"generated core {config.name}: {folder / 'core.v'}, {folder / 'top.v'}")
