"""Join what the other commands left in a folder to report.json and report.md."""

import argparse
from pathlib import Path

NAME = "report"
HELP = "one JSON and one Markdown report of a folder"
EXAMPLE = "example: sparta-hw report build/x"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="output folder of the other commands")


def run(options: argparse.Namespace) -> None:
    """Write report.json and report.md into the folder, and print the summary."""
    from sparta_sim.report import summary, write_report

    print(summary(write_report(options.folder)))
    print(f"report: {options.folder / 'report.md'}, {options.folder / 'report.json'}")
