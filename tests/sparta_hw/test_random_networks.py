"""Random networks: PyTorch, ONNX Runtime, the interpreter and the compiled program agree on every tensor."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.interpreter import run_stream
from sparta_hw.ir import Graph
from sparta_hw.onnx_import import import_model
from sparta_hw.passes import compile_graph
from sparta_hw.vectors import Vectors, load_vectors, of_ranks
from sparta_hw.witness import check_against_runtime
from tests.sparta_hw.memory_machine import check

SAMPLES = 4


def exported(seed: int, folder: Path, k: int | None = None) -> tuple[Path, Vectors, dict[str, int]]:
    """The ONNX file of a random network, what PyTorch computed, and the fractional bits of each tensor."""
    from sparta_quant.export import export_onnx, export_vectors
    from sparta_quant.random_network import random_network, random_spikes

    network = random_network(seed)
    inputs = random_spikes(network.config, SAMPLES, seed)
    export_onnx(network, folder / "model.onnx")
    export_vectors(network, inputs, np.zeros(SAMPLES, np.int64), folder / "vectors.npz", k)
    vectors = load_vectors(folder / "vectors.npz")
    return folder / "model.onnx", vectors, {name: network.frac(name) for name in vectors.tensors}


def differing(graph: Graph, vectors: Vectors) -> list[str]:
    """Tensors in which PyTorch and the interpreter differ, in ranks that a sample has."""
    results = run_stream(graph, vectors.input, vectors.request)
    assert set(vectors.tensors) <= set(results)
    names = []
    for name, expected in vectors.tensors.items():
        for n, k in enumerate(vectors.k):
            rows = slice(k) if of_ranks(name) else ...
            if not np.array_equal(results[name][n][rows], expected[n][rows]):
                names.append(name)
    return names


def agree(seed: int, folder: Path, k: int | None) -> None:
    """All four statements of one network."""
    path, vectors, fracs = exported(seed, folder, k)
    graph = import_model(path)
    assert differing(graph, vectors) == []
    assert check_against_runtime(path, fracs, vectors) > 0
    check(graph, compile_graph(graph, NAMED_CONFIGS["tiny"]), vectors.input[:2], vectors.request)


@pytest.mark.parametrize("seed", range(12))
def test_all_statements_agree(seed: int, tmp_path: Path) -> None:
    agree(seed, tmp_path, None)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.integers(100, 1 << 20), st.sampled_from([None, 1, "all"]))
def test_any_small_network(seed: int, k: int | str | None) -> None:
    from sparta_quant.random_network import random_network

    request = random_network(seed).config.tokens if k == "all" else k
    with tempfile.TemporaryDirectory() as folder:
        agree(seed, Path(folder), request if isinstance(request, int) else None)


def test_another_network_is_noticed(tmp_path: Path) -> None:
    path, vectors, _ = exported(3, tmp_path)
    vectors.input[0] ^= 1
    assert differing(import_model(path), vectors)
