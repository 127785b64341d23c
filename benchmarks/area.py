"""Area, cycles, synaptic operations a second and LUT-eq, and a joule, over adders and S: ``make bench-area``.

Logic is what yosys maps for LFE5U-85F, before place and route; cycles are exact; energy is modelled; the clock is the
same for all, since Fmax takes a place and route of each (``sparta-hw synth``). A run that was cut off goes on where it
stopped.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.cycles import Workload, digits_workload
from sparta_hw.config import CoreConfig, load_config
from sparta_hw.files import write_text
from sparta_hw.passes import compile_model
from sparta_rtl.generate import top_verilog
from sparta_sim.cycles.model import predict
from sparta_sim.energy import estimate_energy, synaptic_operations
from sparta_sim.synthesis import count_cells, lut_equivalents

__all__ = ["Point", "measure", "points", "table"]

ADDERS, STEPS = (16, 64, 256), (1, 4, 8)
"""Lanes x steps, and steps accumulated at once: 1, 4 and T of the digits."""

CLOCK_MHZ = 100

_LINE_BITS, _WEIGHT_BITS = 1 << 16, 1 << 17
"""Least bits of the spike memory and of the weight memory: those of core ``digits``."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One core and the digits network on it, means over the samples.

    Parameters
    ----------
    lanes, steps : int
        P and S; adders = P x S.
    lut_eq, ff, bram, dsp : int
        Cells, yosys.
    cycles : float
        Of an inference.
    operations : float
        Synaptic operations of an inference: a weight added for a spike, or for a set bit of a bit plane.
    energy_pj : float
        Of an inference, modelled.
    """

    lanes: int
    steps: int
    lut_eq: int
    ff: int
    bram: int
    dsp: int
    cycles: float
    operations: float
    energy_pj: float

    @property
    def adders(self) -> int:
        """P x S."""
        return self.lanes * self.steps

    @property
    def operations_per_second(self) -> float:
        """At :data:`CLOCK_MHZ`."""
        return self.operations / self.cycles * CLOCK_MHZ * 1e6

    @property
    def operations_per_joule(self) -> float:
        """Of the modelled energy."""
        return self.operations / (self.energy_pj * 1e-12)


def points() -> Iterator[CoreConfig]:
    """The cores of the sweep, with memories as large as those of core ``digits``, or as the network needs."""
    base = load_config("digits")
    for adders in ADDERS:
        for steps in STEPS:
            lanes = adders // steps
            line = max(base.line, lanes)
            yield replace(
                base,
                name=f"{lanes}x{steps}",
                lanes=lanes,
                steps=steps,
                line=line,
                spike_lines=max(_LINE_BITS // (line * steps), 2048 if lanes > 32 else 512),
                weight_rows=max(_WEIGHT_BITS // (lanes * base.weight_bits), 16 * lanes),
            )


def measure(core: CoreConfig, workload: Workload, k: int, folder: Path) -> Point:
    """Synthesise a core, unless ``folder`` has it, and predict the network on it."""
    program = compile_model(workload.graph, core)
    samples = list(workload.samples(k))
    energy = estimate_energy(program, samples, [k] * len(samples))
    operations = np.mean([synaptic_operations(program, sample, k) for sample in samples])
    cycles = np.mean([predict(program, sample, k, k).cycles for sample in samples])
    cells = count_cells(top_verilog(core), "sparta_top", folder / core.name)
    return Point(
        lanes=core.lanes,
        steps=core.steps,
        lut_eq=lut_equivalents(cells),
        ff=cells["TRELLIS_FF"],
        bram=cells.get("DP16KD", 0),
        dsp=cells.get("MULT18X18D", 0),
        cycles=float(cycles),
        operations=float(operations),
        energy_pj=energy.total_pj,
    )


def table(found: list[Point]) -> str:
    """Markdown, with the area as a multiple of that of the fewest adders with the same S."""
    lines = [
        "| adders | P x S | LUT-eq | x fewest adders | FF | BRAM | DSP | cycles | MSOP/s | kSOP/s a LUT-eq | GSOP/J |",
        "|" + " --- |" * 11,
    ]
    for point in found:
        first = min((one for one in found if one.steps == point.steps), key=lambda one: one.adders)
        lines.append(
            f"| {point.adders} | {point.lanes} x {point.steps} | {point.lut_eq:,} | {point.lut_eq / first.lut_eq:.2f}"
            f" | {point.ff:,} | {point.bram} | {point.dsp} | {point.cycles:,.0f}"
            f" | {point.operations_per_second / 1e6:,.0f}"
            f" | {point.operations_per_second / point.lut_eq / 1e3:.1f} | {point.operations_per_joule / 1e9:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write after each core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20, help="test samples of digits")
    parser.add_argument("-k", type=int, default=22, help="tokens that attend")
    parser.add_argument("--adders", type=int, nargs="+", default=ADDERS, choices=ADDERS, help="only these")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, choices=STEPS, help="only these S")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/area"), help="folder")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    workload = digits_workload(options.samples)
    found: list[Point] = []
    for core in points():
        if core.lanes * core.steps in options.adders and core.steps in options.steps:
            found.append(measure(core, workload, options.k, options.output))
            content = [asdict(point) | {"adders": point.adders} for point in found]
            write_text(options.output / "area.json", json.dumps(content, indent=2) + "\n")
            write_text(options.output / "area.md", table(found))
    print(table(found))


if __name__ == "__main__":
    main()
