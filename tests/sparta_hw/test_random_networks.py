"""Random networks: PyTorch, ONNX Runtime, the interpreter and the compiled program agree."""

from pathlib import Path

import numpy as np
import pytest

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.interpreter import run
from sparta_hw.ir import Graph
from sparta_hw.onnx_import import import_model
from sparta_hw.passes import compile_graph
from sparta_hw.witness import runtime_integers
from tests.sparta_hw.memory_machine import check

SAMPLES = 6


def exported(seed: int, folder: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """The ONNX file of a random network, and the vectors that PyTorch computed."""
    from sparta_quant.export import export_onnx, export_vectors
    from sparta_quant.random_network import random_network, random_spikes

    network = random_network(seed)
    spikes = random_spikes(network.config, SAMPLES, seed)
    export_onnx(network, folder / "model.onnx")
    export_vectors(network, spikes, np.zeros(SAMPLES, np.int64), folder / "vectors.npz")
    with np.load(folder / "vectors.npz") as vectors:
        return folder / "model.onnx", dict(vectors)


def witnessed(path: Path, graph: Graph, spikes: np.ndarray) -> dict[str, np.ndarray]:
    """The same layers out of ONNX Runtime, as integers with the sample first."""
    values = [value for op in graph.operations for value in getattr(op, "outputs", (op.output,))]
    return runtime_integers(path, spikes, {value.name: value.type.frac for value in values})


@pytest.mark.parametrize("seed", range(12))
def test_all_statements_agree(seed: int, tmp_path: Path) -> None:
    path, vectors = exported(seed, tmp_path)
    graph = import_model(path)
    results = run(graph, vectors["input"], int(vectors["k"]))
    witness = witnessed(path, graph, vectors["input"])
    assert set(results) <= set(vectors)
    for name, values in results.items():
        np.testing.assert_array_equal(values, vectors[name], err_msg=f"PyTorch, {name}")
        np.testing.assert_array_equal(values, witness[name], err_msg=f"ONNX Runtime, {name}")
    check(graph, compile_graph(graph, NAMED_CONFIGS["digits"]), vectors["input"][0], int(vectors["k"]))


def test_another_network_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path, vectors = exported(3, tmp_path / "a")
    vectors["input"][0, 0] ^= 1
    results = run(import_model(path), vectors["input"])
    assert any(np.any(results[name] != vectors[name]) for name in results)
