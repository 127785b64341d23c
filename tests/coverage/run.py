"""Line and toggle coverage of two cores, as tables with every hole explained: ``python -m tests.coverage.run``."""

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tqdm import tqdm

from sparta_hw.config import CoreConfig
from sparta_hw.files import write_text
from sparta_rtl.generate import core_verilog
from sparta_sim.coverage import Coverage, Hole
from tests.coverage.campaign import CORE, NETWORKS, OF_THE_STREAM, cover
from tests.coverage.explained import explain

_KINDS = {"line": "branches of the Verilog", "toggle": "rises and falls of register and memory bits"}


def unexplained(core: CoreConfig, coverage: Coverage) -> list[Hole]:
    """Lines that never ran and registers that never changed, without a reason."""
    return [hole for hole in holes_of(core, coverage) if hole.whole and not explain(hole)]


def holes_of(core: CoreConfig, coverage: Coverage) -> list[Hole]:
    """Those of the modules that this core is run for."""
    return [hole for hole in coverage.holes if core == CORE or OF_THE_STREAM.fullmatch(hole.module)]


def table(core: CoreConfig, coverage: Coverage) -> str:
    """Markdown: shares, then holes by reason, then registers of which some bits never changed."""
    text = [
        f"# What the runs reach in the core `{core.name}`",
        "",
        f"`make coverage`: {NETWORKS[core]} random networks, with stalls, all K, empty and full inputs, resets, aborts"
        " and every register, in one simulation that counts.",
    ]
    if core != CORE:
        text[-1] += (
            " External memory is near, far, slow, and fails. Holes are those of the modules that streamed weights"
            " change."
        )
    text += ["", "| points | reached | of | share |", "| --- | --- | --- | --- |"]
    for kind, name in _KINDS.items():
        reached, total = coverage.reached[kind], coverage.total[kind]
        text.append(f"| {name} | {reached:,} | {total:,} | {reached / total:.1%} |")
    reasons: dict[str, list[Hole]] = defaultdict(list)
    for hole in holes_of(core, coverage):
        if hole.whole:
            reasons[explain(hole) or "**not explained**"].append(hole)
    text += [
        "",
        "## Lines that never run and registers that never change",
        "",
        "| holes | where | why |",
        "| --- | --- | --- |",
    ]
    for why, holes in reasons.items():
        where = ", ".join(f"`{module}`" for module in sorted({hole.module for hole in holes}))
        text.append(f"| {len(holes)} | {where} | {why} |")
    partial: dict[str, list[str]] = defaultdict(list)
    for hole in holes_of(core, coverage):
        if not hole.whole:
            partial[hole.module].append(f"{hole.what} ({len(hole.bits)})")
    text += [
        "",
        "## Registers of which some bits never change",
        "",
        "In brackets: how many rises and falls are missing. They are the upper bits of addresses, counts and sums,"
        " which numbers as small as this core's do not reach; the lower bits of what counts in P, L or 4; bit 1 of"
        " squares; and fields of a descriptor that no network of this size needs.",
        "",
        "| module | registers |",
        "| --- | --- |",
        *(f"| `{module}` | {', '.join(names)} |" for module, names in partial.items()),
        "",
    ]
    return "\n".join(text)


def main() -> int:
    """Exit code 1 when a hole has no reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("build"), help="folder (default: build)")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    tables, missed = [], []
    with tempfile.TemporaryDirectory() as scratch, tqdm(total=sum(NETWORKS.values()), unit="network") as bar:
        for core in NETWORKS:
            coverage = cover(core, core_verilog(core), Path(scratch), progress=bar.update)
            tables.append(table(core, coverage))
            missed += unexplained(core, coverage)
    write_text(folder / "coverage.md", "\n".join(tables))
    for hole in missed:
        print(f"NOT EXPLAINED: {hole}", file=sys.stderr)
    print(folder / "coverage.md")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
