"""Compile an ONNX file in the sparta dialect (docs/dialect.md) to a program and memory images."""

import argparse
from pathlib import Path

from sparta_hw.commands.options import add_output, make_output

NAME = "compile"
HELP = "ONNX to program and memory images"
EXAMPLE = "example: sparta-hw compile model.onnx --core digits -o build/x"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="ONNX file")
    parser.add_argument(
        "--core", default="digits", help="core configuration: a name or a JSON file (default: digits)"
    )
    parser.add_argument(
        "--dense", action="store_true", help="do not skip silent entries: what sparsity is measured against"
    )
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Write program.bin, program.txt, graph.txt, ranges.txt, core.json and the memory images."""
    from sparta_hw.config import load_config
    from sparta_hw.files import write_text
    from sparta_hw.onnx_import import import_model
    from sparta_hw.passes import plan_graph
    from sparta_hw.printer import print_graph

    config = load_config(options.core)
    graph = import_model(options.model)
    plan = plan_graph(graph, config)
    program = plan.program
    if program is None:
        raise TypeError("the pipeline ends without a program")
    if options.dense:
        program = program.dense()
    folder = make_output(options.output)
    write_text(folder / "graph.txt", print_graph(graph))
    write_text(folder / "program.txt", program.to_text())
    write_text(folder / "ranges.txt", "".join(f"{entry}\n" for entry in plan.ranges))
    write_text(folder / "core.json", config.to_json())
    program.write_images(folder)
    program.save(folder / "program.bin")
    print("\n".join(str(entry) for entry in plan.ranges if entry.limit == "acc_bits"))
    print(f"compiled {graph.name} for core {config.name}: {folder / 'program.bin'}, {folder / 'program.txt'}")
