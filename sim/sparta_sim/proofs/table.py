"""Verdicts as a table."""

from collections.abc import Sequence

from sparta_sim.proofs.contract import Proof
from sparta_sim.proofs.runner import Verdict

__all__ = ["verdict_table"]


def verdict_table(proofs: Sequence[Proof], verdicts: Sequence[Verdict]) -> str:
    """Markdown: what was proven of which unit, for how many cycles from reset or for all, and how long it took."""
    rows = ["| unit | property | cycles | verdict | seconds |", "| --- | --- | ---: | --- | ---: |"]
    for proof, verdict in zip(proofs, verdicts, strict=True):
        outcome = "holds" if verdict.holds else "**fails**"
        cycles = "all" if proof.forever else proof.depth
        rows.append(f"| {proof.name} | {proof.says} | {cycles} | {outcome} | {verdict.seconds:.0f} |")
    return "\n".join(["# Formal proofs", "", *rows, ""])
