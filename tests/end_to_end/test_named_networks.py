"""Every named network on its core: PyTorch = ONNX Runtime = interpreter = hardware, layer by layer."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.ir import Graph
from sparta_hw.onnx_import import import_model
from sparta_hw.passes import plan_graph
from sparta_hw.program import Program
from sparta_hw.vectors import Vectors, load_vectors
from sparta_hw.witness import check_against_runtime
from sparta_quant.export import export_onnx, export_vectors
from sparta_quant.named import NAMED_NETWORKS, core_name
from sparta_quant.network import SpartaNetwork
from sparta_quant.untrained import camera_digits, untrained_network
from sparta_sim.cosim import ProgramSimulation
from sparta_sim.measure import check_interpreter, measure_cosim, measure_estimate

pytestmark = pytest.mark.slow

IN_HARDWARE = ("mlp", "nmnist", "gesture", "cifar10")
"""Those that are simulated in every run of the tests; digits is in test_digits."""
PAPER_PARAMETERS = 13.8e6


@dataclass(frozen=True)
class Case:
    """A named network, untrained, with PyTorch's own vectors of one sample."""

    network: SpartaNetwork
    model: Path
    graph: Graph
    vectors: Vectors
    program: Program


@pytest.fixture(scope="module", params=list(NAMED_NETWORKS))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    config = NAMED_NETWORKS[request.param]
    inputs = camera_digits(config, 2)
    network = untrained_network(config, inputs)
    folder = tmp_path_factory.mktemp(config.name)
    export_onnx(network, folder / "model.onnx")
    export_vectors(network, inputs[:1], np.zeros(1, np.int64), folder / "vectors.npz")
    graph = import_model(folder / "model.onnx")
    plan = plan_graph(graph, NAMED_CONFIGS[core_name(config.name)])
    assert plan.program is not None
    assert all(entry.bits <= entry.available for entry in plan.ranges)
    return Case(network, folder / "model.onnx", graph, load_vectors(folder / "vectors.npz"), plan.program)


def test_every_layer_is_active(case: Case) -> None:
    for name in case.network.spike_names:
        assert 0.005 < case.vectors.tensors[name].mean() < 0.9, name


def test_onnx_runtime_and_interpreter_equal_pytorch(case: Case) -> None:
    fracs = {name: case.network.frac(name) for name in case.vectors.tensors}
    assert check_against_runtime(case.model, fracs, case.vectors) > 0
    check_interpreter(case.graph, case.vectors)


def test_cycles_and_energy_are_estimated(case: Case) -> None:
    level = measure_estimate(case.program, [case.vectors])["runs"][0]
    assert level["cycles_mean"] > 0
    assert level["energy"]["total_pj"] > 0


@pytest.mark.parametrize("case", IN_HARDWARE, indirect=True)
def test_hardware_equals_pytorch(case: Case) -> None:
    with ProgramSimulation(case.program) as simulation:
        section = measure_cosim(simulation, case.graph, [case.vectors])
    assert section["mismatches"] == 0
    assert section["cycles_predicted_exactly"]


def test_the_paper_network_has_its_parameters() -> None:
    network = SpartaNetwork(NAMED_NETWORKS["paper"])
    count = sum(parameter.numel() for parameter in network.parameters())
    assert abs(count / PAPER_PARAMETERS - 1) < 0.02
