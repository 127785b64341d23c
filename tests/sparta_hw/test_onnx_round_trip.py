"""What the exporter writes, the importer reads: the integers of random networks, and their meaning."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparta_hw.interpreter import run
from sparta_hw.ir import (
    CentreSurround,
    DynamicK,
    FeedbackController,
    FuseScores,
    Graph,
    Operation,
    PatchGroup,
    Projection,
    SparseAttention,
    SpikingConv,
    TokenGate,
    TokenMLP,
    TokenPriority,
    TokenScore,
)
from sparta_hw.onnx_import import import_model
from sparta_hw.vectors import load_vectors
from sparta_hw.verifier import verify
from sparta_hw.witness import check_against_runtime

SAMPLES = 4
SEEDS = (4, 5, 9, 10, 13, 16, 18, 23)


def parts(config: Any) -> set[str]:
    """What is switched on in a configuration."""
    names = ("branches", "groups", "fusion", "dynamic_k", "timing_attention", "priority", "temperature")
    extra = {"heads": config.heads > 1, "layers": config.attention_layers > 1, "own K": config.default_k == 0}
    extra |= {"direct": config.coding == "direct", "feedback": config.feedback is not None}
    extra |= {"spatial": config.fusion and config.spatial, "no spatial": config.fusion and not config.spatial}
    return {name for name in names if getattr(config, name)} | {name for name, on in extra.items() if on}


def first(graph: Graph, kind: type[Operation]) -> Operation | None:
    return next((op for op in graph.operations if isinstance(op, kind)), None)


def assert_same_mlp(mlp: TokenMLP | None, integers: Any) -> None:
    assert (mlp is None) == (integers is None)
    if mlp is not None:
        np.testing.assert_array_equal(mlp.hidden_weight, integers.hidden.weight)
        np.testing.assert_array_equal(mlp.hidden_bias, integers.hidden.bias)
        np.testing.assert_array_equal(mlp.weight, integers.output.weight[0])
        assert mlp.bias == integers.output.bias[0]


def assert_same_table(table: np.ndarray | None, integers: np.ndarray | None) -> None:
    assert (table is None) == (integers is None)
    if table is not None:
        np.testing.assert_array_equal(table, integers)


def test_seeds_have_every_part() -> None:
    from sparta_quant.random_network import random_network

    found = set().union(*(parts(random_network(seed).config) for seed in SEEDS))
    assert len(found) == 14


@pytest.mark.parametrize("seed", SEEDS)
def test_integers_survive(seed: int, tmp_path: Path) -> None:
    from sparta_quant.export import export_onnx
    from sparta_quant.random_network import random_network

    network = random_network(seed)
    integers, config = network.integers(), network.config
    export_onnx(network, tmp_path / "model.onnx")
    graph = import_model(tmp_path / "model.onnx")
    verify(graph)
    assert (graph.name, graph.default_k, graph.tokens) == (config.name, config.default_k, config.tokens)
    assert (graph.dynamic, graph.feedback) == (config.dynamic_k, config.feedback is not None)

    convs = [op for op in graph.operations if isinstance(op, SpikingConv)]
    for op, part in zip(convs, integers.spiking, strict=True):
        repeats = op.weight.shape[2] // part.conv.weight.shape[2]
        np.testing.assert_array_equal(op.weight, part.conv.weight.repeat(repeats, 2).repeat(repeats, 3))
        np.testing.assert_array_equal(op.bias, part.conv.bias)
        np.testing.assert_array_equal(op.leak, part.hilif.leak)
        np.testing.assert_array_equal(op.threshold, part.hilif.threshold)
        assert op.shift == part.conv.frac - config.membrane_frac

    score, gate, fuse = (first(graph, kind) for kind in (TokenScore, TokenGate, FuseScores))
    for scale, tables in zip(score.scales, integers.scores, strict=True):
        np.testing.assert_array_equal(scale.msp_tables, tables.msp)
        np.testing.assert_array_equal(scale.temporal_tables, tables.temporal)
    assert (first(graph, PatchGroup) is None) == (config.groups is None)
    assert (gate.alpha, gate.beta) == (integers.gate.alpha, integers.gate.beta)
    assert_same_table(gate.timing, integers.timing)
    assert_same_mlp(fuse.mlp, integers.fusion)
    for kind, name in ((DynamicK, "sparsity"), (TokenPriority, "priority")):
        assert_same_mlp(getattr(first(graph, kind), "mlp", None), getattr(integers, name))
    assert_same_table(getattr(first(graph, DynamicK), "table", None), integers.k_table)
    assert getattr(first(graph, CentreSurround), "inhibition", None) == integers.inhibition

    attention = [op for op in graph.operations if isinstance(op, SparseAttention)]
    weights = {op.output.name: op for op in graph.operations if isinstance(op, Projection)}
    for n, (op, layer) in enumerate(zip(attention, integers.attention, strict=True)):
        assert op.heads == config.heads
        assert_same_table(op.temperature, integers.temperature)
        for name in ("query", "key", "value", "hidden"):
            expected = getattr(layer, name)
            if expected is not None:
                np.testing.assert_array_equal(weights[f"{name}.{n}"].weight, expected.weight)
                bias = 0 if expected.bias is None else expected.bias
                np.testing.assert_array_equal(weights[f"{name}.{n}"].bias, np.zeros(config.features) + bias)
    np.testing.assert_array_equal(weights["logits"].weight, integers.classifier.weight)
    law = first(graph, FeedbackController)
    if law is not None:
        found = (law.activity_shift, law.target, law.rate_shift)
        assert found == (
            integers.feedback.activity_shift,
            integers.feedback.target,
            config.feedback.rate_shift,
        )
        assert all(op.feedback.gain == config.feedback.gain for op in convs)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_statements_agree(seed: int, tmp_path: Path) -> None:
    from sparta_quant.export import export_onnx, export_vectors
    from sparta_quant.random_network import random_network, random_spikes

    network = random_network(seed)
    path, labels = tmp_path / "model.onnx", np.zeros(SAMPLES, np.int64)
    export_onnx(network, path)
    inputs = random_spikes(network.config, SAMPLES, seed + 1)
    requests = {1, network.config.tokens, network.config.default_k}
    for request in requests:
        export_vectors(network, inputs, labels, tmp_path / "vectors.npz", request)
        vectors = load_vectors(tmp_path / "vectors.npz")
        fracs = {name: network.frac(name) for name in vectors.tensors}
        assert check_against_runtime(path, fracs, vectors) > 0
        state = None
        if network.config.feedback:
            state = np.append(0, vectors.tensors["next_state"][:-1]).astype(np.int64)
        results = run(import_model(path), inputs, request, state)
        np.testing.assert_array_equal(results["k"], vectors.k)
        np.testing.assert_array_equal(results["logits"], vectors.tensors["logits"])
