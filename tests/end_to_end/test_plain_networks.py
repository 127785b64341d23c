"""Plain spiking networks on cores without attention: every layer bit-exact, every cycle predicted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparta_hw.cli import main
from sparta_hw.config import CoreConfig
from sparta_hw.errors import ConfigError, MismatchError
from sparta_hw.interpreter import run
from sparta_hw.ir import Graph
from sparta_hw.passes import compile_graph
from sparta_hw.program import Program
from sparta_hw.vectors import Vectors
from sparta_sim.cosim import ProgramSimulation
from sparta_sim.measure import measure_cosim, measure_estimate
from tests.sparta_hw.graphs import plain_graph, random_input

pytestmark = pytest.mark.slow

PLAIN = {"attention": False, "counts": True, "weight_rows": 4096, "max_steps": 32}
WHOLE = CoreConfig(name="whole", lanes=4, steps=3, line=8, sum_sets=2, **PLAIN)
SHARED = CoreConfig(name="shared", lanes=16, fire_share=4, steps=1, line=8, weight_bits=6, **PLAIN)
NETWORKS = (
    ((2, 4, 4), 6, ((21, 4, 1, 0), (9, 1, 1, 0), (3, 1, 1, 0))),
    ((1, 5, 5), 32, ((37, 5, 1, 0), (40, 1, 1, 0))),
    ((3, 6, 6), 4, ((5, 3, 1, 1), (37, 3, 1, 0), (10, 4, 2, 1), (2, 2, 1, 0))),
    ((1, 3, 3), 1, ((4, 3, 1, 0),)),
)


def network(number: int, config: CoreConfig) -> Graph:
    image, steps, layers = NETWORKS[number]
    return plain_graph(number, layers, image, steps, config.weight_bits)


def vectors_of(graph: Graph, seed: int) -> Vectors:
    inputs = random_input(graph, seed, 6)
    tensors = run(graph, inputs)
    return Vectors(inputs, np.zeros(6, np.int64), 0, tensors.pop("k"), tensors)


@pytest.fixture(scope="module", params=[WHOLE, SHARED], ids=lambda config: config.name)
def simulation(request: pytest.FixtureRequest) -> ProgramSimulation:
    return ProgramSimulation(compile_graph(network(0, request.param), request.param))


@pytest.mark.parametrize("stalls", [0.0, 0.5])
@pytest.mark.parametrize("number", range(len(NETWORKS)))
def test_bit_exact_and_predicted(simulation: ProgramSimulation, number: int, stalls: float) -> None:
    graph = network(number, simulation.config)
    simulation.switch(compile_graph(graph, simulation.config))
    section = measure_cosim(simulation, graph, [vectors_of(graph, number)], stalls)
    assert (section["mismatches"], section["attention"]["points"]) == (0, [])
    assert section["cycles_predicted_exactly"] == (not stalls)


def test_a_wrong_weight_is_found(simulation: ProgramSimulation) -> None:
    graph = network(0, simulation.config)
    program = compile_graph(graph, simulation.config)
    weights = program.weights.copy()
    weights[simulation.config.header_rows : simulation.config.header_rows + 8] ^= 1
    simulation.switch(replace(program, weights=weights))
    with pytest.raises(MismatchError, match=r"layer stem\.0 \(node 'stem\.0\.conv'\)"):
        measure_cosim(simulation, graph, [vectors_of(graph, 0)])


def test_an_estimate_needs_no_tokens() -> None:
    graph = network(1, SHARED)
    level = measure_estimate(compile_graph(graph, SHARED), [vectors_of(graph, 1)])["runs"][0]
    assert level["energy"]["total_pj"] > 0
    assert level["energy"]["attention_block_pj"] == 0
    assert [layer["unit"] for layer in level["layers"]] == ["layer", "layer"]


def test_another_core_is_refused(simulation: ProgramSimulation) -> None:
    other = replace(simulation.config, name="other", counts=True, weight_rows=8192)
    with pytest.raises(ConfigError, match="compiled for another core"):
        simulation.switch(compile_graph(network(0, other), other))


def test_from_the_network_to_the_report(tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert main(["export", "mlp", "--samples", "2", "-o", folder]) == 0
    model, program = str(tmp_path / "model.onnx"), str(tmp_path / "program.bin")
    assert main(["compile", model, "--core", "mlp", "-o", folder]) == 0
    assert Program.load(program).tokens == 0
    vectors = ["--vectors", str(tmp_path / "vectors" / "k0.npz")]
    assert main(["cosim", program, "--model", model, *vectors, "-o", folder]) == 0
    assert main(["estimate", program, "--model", model, *vectors, "-o", folder]) == 0
    assert main(["report", folder]) == 0
    report = (tmp_path / "report.md").read_text()
    assert "| K |" not in report
    assert "token sparsity" not in report
