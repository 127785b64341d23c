"""Synthesise, place and route a core for ECP5-85F with yosys and nextpnr, and pack the bitstream."""

import argparse

from sparta_hw.commands.options import add_output, make_output

NAME = "synth"
HELP = "yosys and nextpnr for ECP5-85F"
EXAMPLE = "example: sparta-hw synth build/x/program.bin -o build/x"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("core", help="a program.bin, a core configuration's name, or its JSON file")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[1], metavar="SEED",
        help="of the placer, one place and route each; the fastest becomes the bitstream (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--grade",
        type=int,
        choices=(6, 7, 8),
        default=6,
        help="speed grade of the FPGA, 6 is the slowest (default: 6)",
    )
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Write synth.json; logs, reports and the bitstream go to the folder synth."""
    from sparta_hw.commands.program_files import config_of
    from sparta_rtl.generate import core_verilog, top_verilog
    from sparta_sim.cache import content_key
    from sparta_sim.measure import synthesis_section
    from sparta_sim.report import write_section
    from sparta_sim.synthesis import synthesise
    from sparta_sim.synthesis.flow import DEVICE

    config = config_of(options.core)
    folder = make_output(options.output)
    synthesis = synthesise(
        top_verilog(config), "sparta_top", folder / "synth", grade=options.grade, seeds=options.seeds
    )
    section = synthesis_section(config.name, content_key([core_verilog(config)]), DEVICE, synthesis)
    path = write_section(folder, "synth", section)
    resources, slowest = synthesis.resources, synthesis.path
    print(
        f"core {config.name} on {DEVICE}, speed grade {options.grade}: {resources.lut_eq} LUT-eq,"
        f" {resources.ff} FF, {resources.bram} BRAM, {resources.dsp} DSP,"
        f" {resources.fmax_mhz:.1f} MHz (seed {synthesis.best_seed}): {path}"
    )
    print(
        f"critical path: {' -> '.join(slowest.lines)}, {slowest.logic_ns:.1f} ns logic,"
        f" {slowest.routing_ns:.1f} ns routing"
    )
