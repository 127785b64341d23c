"""Co-simulate a program on its core in Verilator and compare every layer, bit for bit, with test vectors.

Without vectors, random spikes are drawn and the integer interpreter says what is expected. Exit code 1 and one line
with sample, layer, index, step, expected and actual value when anything differs.
"""

import argparse
from pathlib import Path

from sparta_hw.commands.options import add_memory, add_output, add_samples, make_output

NAME = "cosim"
HELP = "bit-exact co-simulation in Verilator"
EXAMPLE = "example: sparta-hw cosim build/x/program.bin --model build/x/model.onnx --random 3 -o build/x"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", type=Path, help="program.bin of sparta-hw compile")
    parser.add_argument("--model", type=Path, required=True, help="the ONNX file it was compiled from")
    add_samples(parser)
    parser.add_argument("--core", help="the core to simulate: a name or a JSON file (default: the program's)")
    parser.add_argument(
        "--verilog", type=Path, help="core.v to simulate (default: generated from the program)"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="load the memory images of DIR, not the program's"
    )
    parser.add_argument(
        "--stalls", type=float, default=0.0, help="probability that a stream pauses (default: 0)"
    )
    add_memory(parser)
    parser.add_argument(
        "--memory-stalls",
        type=float,
        default=0.0,
        metavar="RATE",
        help="probability that the external memory pauses (default: 0)",
    )
    parser.add_argument("--wave", type=Path, metavar="FILE", help="write a waveform, .fst or .vcd")
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Write cosim.json."""
    from sparta_hw.commands.program_files import read_text, stimuli
    from sparta_hw.config import load_config
    from sparta_hw.onnx_import import import_model
    from sparta_hw.program import Program
    from sparta_sim.cosim import ProgramSimulation
    from sparta_sim.cycles.stream import MemoryTiming
    from sparta_sim.measure import measure_cosim
    from sparta_sim.report import write_section

    memory = MemoryTiming(latency=options.memory_latency, stalls=options.memory_stalls)
    program = Program.load(options.program)
    if options.core:
        program.check_core(load_config(options.core))
    graph = import_model(options.model)
    if options.images:
        program = program.read_images(options.images)
    runs = stimuli(graph, options)
    verilog = read_text(options.verilog, "the core's Verilog") if options.verilog else None
    folder = make_output(options.output)
    with ProgramSimulation(program, verilog=verilog, wave=options.wave, seed=options.seed) as simulation:
        section = measure_cosim(simulation, graph, runs, stalls=options.stalls, memory=memory)
    write_section(folder, "cosim", section)
    print(
        f"co-simulation: {section['samples']} samples on {len(section['runs'])} values of K, every layer bit-exact;"
        f" predicted cycles equal measured cycles: {folder / 'cosim.json'}"
    )
