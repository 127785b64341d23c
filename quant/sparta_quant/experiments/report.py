"""The experiments as one page: a table and a plot each, the paper's numbers beside ours."""

from collections.abc import Iterable, Mapping, Sequence

from sparta_quant.experiments.tables import Table
from sparta_quant.experiments.trials import Outcome

__all__ = ["HardwareCost", "compare_order", "table_section"]

HardwareCost = Mapping[str, tuple[float, float]]
"""Cycles and nanojoule of an inference by row, from the compiler's models."""


def table_section(table: Table, outcomes: Mapping[str, Outcome], cost: HardwareCost, plot: str) -> str:
    """Markdown of one table."""
    head = ["", "accuracy (%)", "paper (%)", "float (%)", "mean K"]
    if table.number == 1:
        head += ["timing / interval variance", "paper"]
    if table.number == 3:
        head += ["sparsity (%)", "cycles", "energy (nJ)", "paper: sparsity (%), GFLOPs"]
    rows = []
    for row in table.rows:
        outcome = outcomes[row.label]
        cells = [
            row.label,
            f"{100 * outcome.accuracy:.2f}",
            f"{row.paper['accuracy']:.2f}",
            f"{100 * outcome.float_accuracy:.2f}",
            f"{outcome.mean_k:.1f}",
        ]
        if table.number == 1:
            cells += [
                f"{outcome.timing_variance:.3f} / {outcome.interval_variance:.2f}",
                f"{row.paper['timing_variance']:.3f} / {row.paper['interval_variance']:.2f}",
            ]
        if table.number == 3:
            cycles, energy = cost[row.label]
            sparsity = row.paper.get("sparsity")
            cells += [
                f"{100 * outcome.sparsity:.1f}",
                f"{cycles:,.0f}",
                f"{energy:,.0f}",
                f"{'' if sparsity is None else f'{sparsity}, '}{row.paper['gflops']}",
            ]
        rows.append(cells)
    lines = [f"## Table {table.number}: {table.title}", "", *_markdown(head, rows), ""]
    lines += [compare_order(table, outcomes), "", f"![Table {table.number}]({plot})", ""]
    return "\n".join(lines)


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def compare_order(table: Table, outcomes: Mapping[str, Outcome]) -> str:
    """Whether the rows rank here as in the paper, in a sentence."""
    ours = max(table.rows, key=lambda row: outcomes[row.label].accuracy)
    pairs = [(a, b) for n, a in enumerate(table.rows) for b in table.rows[n + 1 :]]
    swapped = [
        (a, b)
        for a, b in pairs
        if (a.paper["accuracy"] - b.paper["accuracy"])
        * (outcomes[a.label].accuracy - outcomes[b.label].accuracy)
        < 0
    ]
    if not swapped:
        return "All rows rank as in the paper."
    best = f"here {ours.label!r} is the best row, in the paper {table.best.label!r}"
    if ours is table.best:
        best = "the best row is the paper's"
    return f"The order differs from the paper's in {len(swapped)} of {len(pairs)} pairs of rows; {best}."
