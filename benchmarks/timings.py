"""Seconds, both sides in turn in one process; the round with the median ratio counts."""

import statistics
import time
from collections.abc import Callable, Iterator

import torch

from benchmarks.cycles import Workload, untrained_workload
from sparta_hw.interpreter import run as interpret
from sparta_quant.inputs import network_inputs
from sparta_sim.cosim import ProgramSimulation
from sparta_sim.limits import Ratio

__all__ = ["paired", "timing_ratios"]

_ROUNDS = 5
_BARE_SPEED = 0.8
"""Of the Verilated model without trace, which the co-simulation is to reach."""


def paired(ours: Callable[[], object], limit: Callable[[], object]) -> tuple[float, float]:
    """Seconds of both sides in the round with the median ratio."""
    rounds = []
    for _ in range(_ROUNDS):
        seconds = []
        for side in (ours, limit):
            start = time.perf_counter()
            side()
            seconds.append(time.perf_counter() - start)
        rounds.append((seconds[0], seconds[1]))
    middle = statistics.median_low(one / other for one, other in rounds)
    return next(pair for pair in rounds if pair[0] / pair[1] == middle)


def timing_ratios(digits: Workload) -> Iterator[Ratio]:
    """The integer interpreter against PyTorch's forward pass; the co-simulation with its trace against without."""
    torch.set_num_threads(1)
    for workload in (digits, untrained_workload("nmnist", 8)):
        inputs = network_inputs(workload.network.config, workload.inputs)
        with torch.no_grad():
            ours, limit = paired(
                lambda w=workload: interpret(w.graph, w.inputs), lambda w=workload, i=inputs: w.network(i)
            )
        what = f"{workload.program.name}: interpreter / PyTorch forward pass"
        yield Ratio(what, ours, limit, "s", exact=False)
    with ProgramSimulation(digits.program) as simulation:
        spikes = digits.inputs
        ours, limit = paired(lambda: simulation.infer(spikes), lambda: simulation.infer(spikes, record=False))
    yield Ratio("co-simulation with trace / without", ours, limit, "s", 1 / _BARE_SPEED, exact=False)
