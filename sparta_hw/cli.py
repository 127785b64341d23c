"""The command line: ``sparta-hw COMMAND``. Each command reads files, writes into ``-o DIR``, and can run alone.

Exit codes: 0 done; 1 hardware and reference disagree; 2 bad usage or input, one line says what; 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence

from sparta_hw import __version__
from sparta_hw.commands import (
    compile,
    cosim,
    estimate,
    evaluate,
    experiment,
    export,
    prove,
    report,
    rtl,
    synth,
    train,
)
from sparta_hw.errors import MismatchError, SpartaError

__all__ = ["main"]

COMMANDS = (train, evaluate, experiment, export, compile, rtl, cosim, estimate, synth, report, prove)
"""In the order of the flow; proofs are about the units, whatever the network."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="sparta-hw", description="From a spiking transformer to a verified spiking core, step by step."
    )
    parser.add_argument("--version", action="version", version=f"sparta-hw {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        subparser = subparsers.add_parser(
            command.NAME, help=command.HELP, description=command.__doc__, epilog=command.EXAMPLE
        )
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        The exit code.
    """
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except MismatchError as error:
        print(f"sparta-hw {options.command}: mismatch: {error}", file=sys.stderr)
        return 1
    except SpartaError as error:
        print(f"sparta-hw {options.command}: error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("sparta_"):
            raise
        print(
            f"sparta-hw {options.command}: error: this step needs the package {error.name!r}, which is not"
            " installed; install the project with its extras: pip install 'sparta-hw[train,rtl,sim,synth]'",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(f"sparta-hw {options.command}: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
