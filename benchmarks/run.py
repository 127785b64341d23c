"""Speed as ratios to limits: ``make bench``. Prints a table and writes bench.json.

Cycles are deterministic, and asserted in the tests; seconds are noisy, and paired.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.compilation import compilation_ratios
from benchmarks.cycles import cycle_ratios, digits_workload, untrained_workload
from benchmarks.peers import mlp_workload, peer_ratios
from benchmarks.skipping import skipping_ratios
from benchmarks.timings import timing_ratios
from benchmarks.topk import topk_ratios
from sparta_hw.files import write_text
from sparta_sim.limits import Ratio

_VERDICTS = {None: "", True: "met", False: "NOT MET"}


def all_ratios(samples: int, folder: Path) -> Iterator[Ratio]:
    """Everything that is measured, one at a time; files of tools go into ``folder``."""
    digits = digits_workload(samples)
    yield from cycle_ratios(digits)
    yield from skipping_ratios(digits.program)
    yield from skipping_ratios(untrained_workload("nmnist", 2).program)
    yield from peer_ratios(mlp_workload())
    yield from timing_ratios(digits)
    yield from compilation_ratios()
    yield from topk_ratios(folder)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20, help="test samples of digits")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/bench"), help="folder")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    print(f"{'measured / limit':66} {'measured':>12} {'limit':>12} {'ratio':>7}  {'goal':>5}")
    content = []
    for one in all_ratios(options.samples, options.output):
        goal = "" if one.goal is None else f"{one.goal:.2f}"
        verdict = _VERDICTS[None if one.goal is None else one.met]
        print(
            f"{one.what:66} {one.measured:12.6g} {one.limit:12.6g} {one.ratio:7.3f}  {goal:>5} {verdict:7}"
            f" {one.unit}{'' if one.exact else ', timing'}",
            flush=True,
        )
        content.append(asdict(one) | {"ratio": one.ratio, "met": one.met})
    write_text(options.output / "bench.json", json.dumps(content, indent=2) + "\n")
    print(options.output / "bench.json")


if __name__ == "__main__":
    main()
