"""Two hundred random networks on one core without a new one: every layer bit-exact, every descriptor's cycles exact."""

from pathlib import Path

import numpy as np
import pytest

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.onnx_import import import_model
from sparta_hw.passes import compile_model
from sparta_hw.vectors import load_vectors
from sparta_quant.export import export_onnx, export_vectors
from sparta_quant.random_network import random_network, random_spikes
from sparta_sim.cosim import ProgramSimulation
from sparta_sim.measure import measure_cosim

pytestmark = pytest.mark.slow

SEEDS = range(1000, 1200)


@pytest.mark.parametrize("part", range(4))
def test_cycles_are_predicted_exactly(tmp_path: Path, part: int) -> None:
    simulation: ProgramSimulation | None = None
    for seed in SEEDS[part::4]:
        network = random_network(seed)
        model, vectors = tmp_path / "model.onnx", tmp_path / "vectors.npz"
        export_onnx(network, model)
        spikes = random_spikes(network.config, 1, seed)
        export_vectors(network, spikes, np.zeros(1, np.int64), vectors)
        graph = import_model(model)
        program = compile_model(graph, NAMED_CONFIGS["tiny"])
        if simulation is None:
            simulation = ProgramSimulation(program)
        simulation.switch(program)
        section = measure_cosim(simulation, graph, [load_vectors(vectors)])
        assert section["mismatches"] == 0, f"seed {seed}"
        assert section["cycles_predicted_exactly"], f"seed {seed}"
    assert simulation is not None
    simulation.close()
