"""Seconds of the processor, both sides in turn in one process; the round with the median ratio counts."""

import statistics
import time
from collections.abc import Callable, Iterator

import torch
from threadpoolctl import threadpool_limits

from benchmarks.cycles import Workload, untrained_workload
from sparta_hw.interpreter import run as interpret
from sparta_quant.checkpoint import DIGITS_CHECKPOINT, load_float_network
from sparta_quant.inputs import network_inputs
from sparta_quant.network import SpartaNetwork
from sparta_quant.untrained import untrained_model
from sparta_sim.cosim import ProgramSimulation
from sparta_sim.limits import Ratio

__all__ = ["paired", "timing_ratios"]

_ROUNDS = 15
_BARE_SPEED = 0.8
"""Of the Verilated model alone, which the co-simulation is to reach."""
_INTERPRETER_SPEED = 5
"""Times that of the Brevitas model, which the interpreter is to reach."""
_SAMPLES = {"nmnist": 8, "gesture": 4, "cifar10": 8}


def paired(ours: Callable[[], object], limit: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the processor that both sides take, in the round with the median ratio; one more round warms up."""
    rounds = []
    for _ in range(_ROUNDS + 1):
        seconds = []
        for side in (ours, limit):
            start = time.process_time()
            side()
            seconds.append(time.process_time() - start)
        rounds.append((seconds[0], seconds[1]))
    middle = statistics.median_low(one / other for one, other in rounds[1:])
    return next(pair for pair in rounds[1:] if pair[0] / pair[1] == middle)


def timing_ratios(digits: Workload) -> Iterator[Ratio]:
    """The interpreter against PyTorch, one thread each; the co-simulation against the Verilated model."""
    yield from _interpreter_ratios(digits, _digits_model())
    for name, samples in _SAMPLES.items():
        workload = untrained_workload(name, samples)
        yield from _interpreter_ratios(workload, untrained_model(workload.network.config, workload.inputs))
    yield from _simulation_ratios(digits)


def _simulation_ratios(digits: Workload) -> Iterator[Ratio]:
    """Co-simulation from spikes to logits and trace, against the same cycles of the Verilated model alone."""
    program, spikes = digits.program, digits.inputs
    with ProgramSimulation(program) as simulation:
        inputs = [program.pack_input(sample) for sample in spikes]
        cycles = simulation.infer(spikes).cycles.tolist()

        def bare() -> None:
            for words, count in zip(inputs, cycles, strict=True):
                simulation.toggle(words, k=program.default_k, cycles=count)

        sides = {"with trace": True, "without trace": False}
        for name, record in sides.items():
            ours, limit = paired(lambda record=record: simulation.infer(spikes, record=record), bare)
            what = f"co-simulation {name} / Verilated model alone"
            yield Ratio(what, ours, limit, "s", 1 / _BARE_SPEED, exact=False)


def _digits_model() -> SpartaNetwork:
    """The quantised network as training starts its second phase; the checkpoint has no later one undeployed."""
    network = load_float_network(DIGITS_CHECKPOINT)
    network.quantize()
    return network.eval()


def _interpreter_ratios(workload: Workload, model: SpartaNetwork) -> Iterator[Ratio]:
    """Both sides compute every tensor: against the Brevitas model, and against its deployed copy."""
    inputs = network_inputs(workload.network.config, workload.inputs)
    sides = {"Brevitas model": (model, 1 / _INTERPRETER_SPEED), "deployed network": (workload.network, None)}
    torch.set_num_threads(1)
    with torch.no_grad(), threadpool_limits(1):
        for name, (network, goal) in sides.items():
            ours, limit = paired(
                lambda: interpret(workload.graph, workload.inputs), lambda network=network: network(inputs)
            )
            what = f"{workload.program.name}, {len(workload.inputs)} samples: interpreter / {name}"
            yield Ratio(what, ours, limit, "s", goal, exact=False)
