"""Synthesise, place and route a core for ECP5-85F with yosys and nextpnr, and pack the bitstream."""

import argparse

from sparta_hw.commands.options import add_output, make_output

NAME = "synth"
HELP = "yosys and nextpnr for ECP5-85F"
EXAMPLE = "example: sparta-hw synth build/x/program.bin -o build/x"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("core", help="a program.bin, a core configuration's name, or its JSON file")
    parser.add_argument("--seed", type=int, default=1, help="of the placer (default: 1)")
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Write synth.json; logs, reports and the bitstream go to the folder synth."""
    from sparta_hw.commands.program_files import config_of
    from sparta_rtl.generate import top_verilog
    from sparta_sim.measure import synthesis_section
    from sparta_sim.report import write_section
    from sparta_sim.synthesis import synthesise
    from sparta_sim.synthesis.flow import DEVICE

    config = config_of(options.core)
    folder = make_output(options.output)
    resources = synthesise(top_verilog(config), "sparta_top", folder / "synth", seed=options.seed)
    path = write_section(folder, "synth", synthesis_section(config.name, DEVICE, resources))
    print(
        f"core {config.name} on {DEVICE}: {resources.lut_eq} LUT-eq, {resources.ff} FF, {resources.bram} BRAM,"
        f" {resources.dsp} DSP, {resources.fmax_mhz:.1f} MHz: {path}"
    )
