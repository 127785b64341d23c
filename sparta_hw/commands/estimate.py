"""Predict cycles and energy of a program, from the spikes of its samples; no hardware is simulated."""

import argparse
from pathlib import Path
from typing import Any

from sparta_hw.commands.options import add_memory, add_output, add_samples, make_output

NAME = "estimate"
HELP = "cycles and energy per sparsity level, without simulation"
EXAMPLE = "example: sparta-hw estimate build/x/program.bin --model build/x/model.onnx --random 3 -o build/x"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", type=Path, help="program.bin of sparta-hw compile")
    parser.add_argument("--model", type=Path, required=True, help="the ONNX file it was compiled from")
    add_samples(parser)
    add_memory(parser)
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Write estimate.json."""
    from sparta_hw.commands.program_files import stimuli
    from sparta_hw.onnx_import import import_model
    from sparta_hw.program import Program
    from sparta_sim.cycles.stream import MemoryTiming
    from sparta_sim.measure import measure_estimate
    from sparta_sim.report import write_section

    program = Program.load(options.program)
    runs = stimuli(import_model(options.model), options)
    folder = make_output(options.output)
    section = measure_estimate(program, runs, MemoryTiming(latency=options.memory_latency))
    path = write_section(folder, "estimate", section)
    for level in section["runs"]:
        print(
            f"K = {level['k']} ({level['sparsity_percent']:.1f} % sparsity): {level['cycles_mean']:,.0f} cycles,"
            f" {level['energy']['total_pj'] / 1000:,.2f} nJ (modelled)"
        )
        if "weights" in level:
            print(_bandwidth(level["weights"]))
    print(path)


def _bandwidth(weights: dict[str, Any]) -> str:
    rates = ", ".join(
        f"{what} {weights[name]:.3g} ({weights[name] * 100:,.0f} MB/s at 100 MHz)"
        for what, name in (("mean", "mean"), ("one tile ahead", "one_ahead"), ("needed", "needed"))
    )
    return (
        f"  streamed weights: {weights['image_bytes']:,} bytes in {weights['tiles']} tiles; bytes a cycle: {rates};"
        f" the port has {weights['port_bytes_per_cycle']}; {weights['stall_cycles_mean']:,.0f} stall cycles"
    )
