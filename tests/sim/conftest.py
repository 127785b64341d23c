"""One random network on the smallest named core, and its simulation, for all tests of a session."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.interpreter import run
from sparta_hw.ir import Graph
from sparta_hw.passes import compile_model
from sparta_hw.program import Program
from sparta_hw.vectors import Vectors
from sparta_sim.cosim import ProgramSimulation
from tests.sim.networks import random_network, random_spikes

SAMPLES = 3


@dataclass(frozen=True)
class Case:
    """A network, its program, and samples."""

    graph: Graph
    program: Program
    spikes: NDArray[np.int64]

    def expected(self, k: int | None = None) -> dict[str, NDArray[np.int64]]:
        return run(self.graph, self.spikes, k)

    def vectors(self, k: int) -> Vectors:
        labels = np.zeros(len(self.spikes), np.int64)
        tensors = self.expected(k)
        return Vectors(self.spikes.astype(np.uint8), labels, k, tensors.pop("k"), tensors)

    def sample(self, number: int, k: int | None = None) -> dict[str, NDArray[np.int64]]:
        tensors = self.expected(k) | {self.program.input_name: self.spikes}
        return {name: values[number] for name, values in tensors.items()}


@pytest.fixture(scope="session")
def case() -> Case:
    graph = random_network(1)
    return Case(graph, compile_model(graph, NAMED_CONFIGS["tiny"]), random_spikes(graph, SAMPLES))


@pytest.fixture(scope="session")
def simulation(case: Case) -> Iterator[ProgramSimulation]:
    with ProgramSimulation(case.program, seed=5) as simulated:
        yield simulated
