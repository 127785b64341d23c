"""Speed as ratios to limits: ``make bench``. Prints a table and writes bench.json.

Cycles are deterministic. Seconds are paired: both sides run in turn, in this process, and the median ratio counts.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from sparta_hw.config import CoreConfig, load_config
from sparta_hw.descriptor import Op, decode
from sparta_hw.files import write_text
from sparta_hw.interpreter import run as interpret
from sparta_hw.onnx_import import import_model
from sparta_hw.passes import compile_model
from sparta_hw.program import Program
from sparta_quant.checkpoint import DIGITS_CHECKPOINT, load_checkpoint
from sparta_quant.data import load_digits
from sparta_quant.export import export_onnx
from sparta_sim.cosim import ProgramSimulation
from sparta_sim.cycles.model import predict

ROUNDS = 5


@dataclass(frozen=True)
class Ratio:
    """``measured / limit`` in one unit; ``kind`` says whether it is exact or a timing."""

    what: str
    measured: float
    limit: float
    unit: str
    kind: str

    @property
    def ratio(self) -> float:
        return self.measured / self.limit


def cycle_ratios(program: Program, config: CoreConfig, samples: list[dict], k: int) -> Iterator[Ratio]:
    """Each unit's cycles against what its work alone would take: active entries, tokens, multiplications."""
    predictions = [predict(program, tensors, k, k) for tensors in samples]
    mean = np.mean([one.layer_cycles for one in predictions], axis=0)
    entries = np.mean([one.layer_entries for one in predictions], axis=0)
    fields = [decode(word) for word in program.descriptors[:-1]]
    ops = [one["op"] for one in fields]
    array = [n for n, op in enumerate(ops) if op is Op.LAYER]
    yield Ratio("neuron array, all layers", sum(mean[array]), sum(entries[array]), "cycles", "exact")
    for n in array:
        yield Ratio(f"neuron array, {program.nodes[n]}", mean[n], entries[n], "cycles", "exact")
    rank, attend = ops.index(Op.RANK), ops.index(Op.ATTEND)
    listed = program.tokens + k
    yield Ratio(f"top-K, N = {program.tokens}, K = {k}", mean[rank], listed, "cycles", "exact")
    macs = 2 * k * k * fields[attend]["chunks"] * config.lanes
    yield Ratio(f"attention, K = {k}", mean[attend], macs / (2 * config.lanes), "cycles", "exact")
    total = float(np.mean([one.cycles for one in predictions]))
    yield Ratio(
        f"whole inference, K = {k}", total, sum(entries[array]) + macs / (2 * config.lanes), "cycles", "exact"
    )


def paired(ours: Callable[[], object], limit: Callable[[], object]) -> tuple[float, float]:
    """Seconds of both sides in the round with the median ratio."""
    rounds = []
    for _ in range(ROUNDS):
        seconds = []
        for side in (ours, limit):
            start = time.perf_counter()
            side()
            seconds.append(time.perf_counter() - start)
        rounds.append((seconds[0], seconds[1]))
    middle = statistics.median_low(one / other for one, other in rounds)
    return next(pair for pair in rounds if pair[0] / pair[1] == middle)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", default="digits", help="core configuration")
    parser.add_argument("--samples", type=int, default=20, help="test samples")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/bench"), help="folder")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)

    network, _ = load_checkpoint(DIGITS_CHECKPOINT)
    model = options.output / "model.onnx"
    export_onnx(network, model)
    config = load_config(options.core)
    graph = import_model(model)
    program = compile_model(graph, config)
    spikes = load_digits("test").spikes[: options.samples]

    ratios: list[Ratio] = []
    for k in sorted({*network.config.k_levels}, reverse=True):
        values = interpret(graph, spikes, k)
        samples = [
            {program.input_name: spikes[n]} | {name: value[n] for name, value in values.items()}
            for n in range(len(spikes))
        ]
        found = list(cycle_ratios(program, config, samples, k))
        ratios += found if not ratios else [one for one in found if "neuron array" not in one.what]

    inputs = torch.from_numpy(spikes).transpose(0, 1).float()
    network.eval()
    with torch.no_grad():
        ours, limit = paired(lambda: interpret(graph, spikes), lambda: network(inputs))
    ratios.append(Ratio("integer interpreter / PyTorch forward pass", ours, limit, "s", "timing"))
    with ProgramSimulation(program) as simulation:
        ours, limit = paired(lambda: simulation.infer(spikes), lambda: simulation.infer(spikes, record=False))
        cycles = int(simulation.infer(spikes, record=False).cycles.sum())
    ratios.append(Ratio("co-simulation with trace / without", ours, limit, "s", "timing"))

    print(f"{'what':48} {'measured':>12} {'limit':>12} {'ratio':>7}")
    for one in ratios:
        print(
            f"{one.what:48} {one.measured:12.4g} {one.limit:12.4g} {one.ratio:7.3f}  {one.unit}, {one.kind}"
        )
    print(f"simulated clock cycles a second: {cycles / limit:,.0f}")
    content = [asdict(one) | {"ratio": one.ratio} for one in ratios]
    write_text(options.output / "bench.json", json.dumps(content, indent=2) + "\n")
    print(options.output / "bench.json")


if __name__ == "__main__":
    main()
