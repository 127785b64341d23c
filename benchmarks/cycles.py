"""Cycles of whole networks, unit by unit, against what their work alone would take; exact."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import load_config
from sparta_hw.interpreter import run as interpret
from sparta_hw.ir import Graph
from sparta_hw.onnx_import import import_model
from sparta_hw.passes import compile_model
from sparta_hw.program import Program
from sparta_quant.checkpoint import DIGITS_CHECKPOINT, load_checkpoint
from sparta_quant.data import load_digits
from sparta_quant.export import export_onnx
from sparta_quant.named import NAMED_NETWORKS, core_name
from sparta_quant.spiking_network import SpikingNetwork
from sparta_quant.untrained import camera_digits, untrained_network
from sparta_sim.cycles.model import Prediction, predict
from sparta_sim.limits import Ratio, array_ratio, unit_ratios

__all__ = [
    "Workload",
    "cycle_ratios",
    "digits_workload",
    "untrained_network_of",
    "untrained_workload",
    "workload_of",
]

_ARRAY_GOALS = {"digits": 1.10, "nmnist": 1.05}


@dataclass(frozen=True)
class Workload:
    """A network on its core, and inputs for it."""

    network: SpikingNetwork
    graph: Graph
    program: Program
    inputs: NDArray[np.uint8]

    def samples(self, k: int) -> Iterator[dict[str, NDArray]]:
        """Every tensor of each input by name, with K."""
        values = interpret(self.graph, self.inputs, k)
        for n in range(len(self.inputs)):
            yield {self.program.input_name: self.inputs[n]} | {
                name: value[n] for name, value in values.items()
            }

    def on(self, inputs: NDArray[np.uint8]) -> "Workload":
        """The same network on other inputs."""
        return replace(self, inputs=inputs)

    def predictions(self, k: int) -> list[Prediction]:
        """Modelled cycles of each input with K."""
        return [predict(self.program, tensors, k, k) for tensors in self.samples(k)]


def workload_of(network: SpikingNetwork, core: str, inputs: NDArray[np.uint8]) -> Workload:
    """A network on a core."""
    with TemporaryDirectory() as scratch:
        model = Path(scratch) / "model.onnx"
        export_onnx(network, model)
        graph = import_model(model)
    return Workload(network, graph, compile_model(graph, load_config(core)), inputs)


def digits_workload(samples: int) -> Workload:
    """The committed network on test samples."""
    network, _ = load_checkpoint(DIGITS_CHECKPOINT)
    return workload_of(network, "digits", load_digits("test").spikes[:samples])


def untrained_workload(name: str, samples: int = 2) -> Workload:
    """A named network with initial weights on embedded digits of its size: its data set is not in the project."""
    network, inputs = untrained_network_of(name, samples)
    return workload_of(network, core_name(name), inputs)


def untrained_network_of(name: str, samples: int) -> tuple[SpikingNetwork, NDArray[np.uint8]]:
    """The network and the inputs of :func:`untrained_workload`."""
    config = NAMED_NETWORKS[name]
    inputs = camera_digits(config, samples)
    return untrained_network(config, inputs), inputs


def cycle_ratios(digits: Workload) -> Iterator[Ratio]:
    """Array, ranking, attention and whole inference of digits, nmnist, cifar10 and gesture, the one with N = 256."""
    loads = (
        (lambda: digits, (64, 48, 32, 22, 16)),
        (partial(untrained_workload, "nmnist"), (64, 22, 16)),
        (partial(untrained_workload, "cifar10"), (64, 22)),
        (partial(untrained_workload, "gesture"), (256, 192, 89, 16)),
    )
    for load, ks in loads:
        workload = load()
        program = workload.program
        for k in ks:
            predictions = workload.predictions(k)
            if k == ks[0]:
                yield array_ratio(program, predictions, _ARRAY_GOALS.get(program.name))
            yield from unit_ratios(program, predictions, k)
