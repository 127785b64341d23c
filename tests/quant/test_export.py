"""ONNX Runtime, from the exported file alone, equals PyTorch on every named tensor."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from sparta_quant.checkpoint import Measured
from sparta_quant.config import SpartaConfig
from sparta_quant.data import Dataset
from sparta_quant.export import build_model, export_onnx
from sparta_quant.inputs import network_inputs
from sparta_quant.network import SpartaNetwork
from sparta_quant.random_network import random_integers, random_network, random_spikes

LEVELS = onnxruntime.GraphOptimizationLevel


def run_model(
    model: ModelProto,
    inputs: NDArray[np.uint8],
    k: int | None,
    state: NDArray[np.int64] | None = None,
    level: LEVELS = LEVELS.ORT_ENABLE_ALL,
) -> dict[str, NDArray]:
    """Every named tensor of ``model``; inputs (n, T, C, H, W) or (n, C, H, W)."""
    exposed = ModelProto()
    exposed.CopyFrom(model)
    exposed.graph.output.extend(model.graph.value_info)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(exposed.SerializeToString(), options)
    name = model.graph.input[0].name
    real = inputs.astype(np.float32)
    feeds = {name: real if name == "pixels" else real.swapaxes(0, 1)}
    if k is not None:
        feeds["k"] = np.array([k], np.int64)
    if state is not None:
        feeds["state"] = state
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def differing(
    network: SpartaNetwork,
    model: ModelProto,
    inputs: NDArray[np.uint8],
    k: int | None,
    state: NDArray[np.int64] | None = None,
    **options: LEVELS,
) -> list[str]:
    """Names of the tensors on which ONNX Runtime and PyTorch disagree."""
    found = run_model(model, inputs, k, state, **options)
    with torch.no_grad():
        layers = network.layers(
            network_inputs(network.config, inputs),
            k,
            None if state is None else torch.from_numpy(state),
        )
    assert set(found) == set(layers)
    return [name for name, values in layers.items() if not np.array_equal(values.numpy(), found[name])]


@pytest.mark.parametrize("k", [None, 1, 16, 64])
def test_trained_network(trained: tuple[SpartaNetwork, Measured], digits: Dataset, k: int | None) -> None:
    network = trained[0]
    assert differing(network, build_model(network.integers(), {}), digits.spikes[:20], k) == []


@pytest.mark.parametrize("seed", range(24))
def test_random_networks(seed: int) -> None:
    network = random_network(seed)
    config = network.config
    model = build_model(network.integers(), {})
    inputs = random_spikes(config, 4, seed)
    for k in (None, 1, config.tokens, *([0] if config.dynamic_k else [])):
        assert differing(network, model, inputs, k) == []
    if config.feedback:
        state = np.random.default_rng(seed).integers(-(2**18), 2**18, 4)
        assert differing(network, model, inputs, None, state) == []
        assert differing(network, model, inputs[:1], None, state[:1]) == []


def test_every_part_at_once(full_config: SpartaConfig) -> None:
    network = SpartaNetwork.from_integers(random_integers(full_config, np.random.default_rng(1), 1))
    inputs = random_spikes(full_config, 6, 2)
    assert differing(network, build_model(network.integers(), {}), inputs, 0) == []


@pytest.mark.parametrize(
    "level", [LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_BASIC, LEVELS.ORT_ENABLE_EXTENDED]
)
def test_every_optimisation_level(level: LEVELS) -> None:
    for seed in (0, 1, 2):
        network = random_network(seed)
        model = build_model(network.integers(), {})
        assert differing(network, model, random_spikes(network.config, 4, 0), None, level=level) == []


@pytest.mark.parametrize(
    ("initializer", "first"),
    [("stem.0.conv.weight", "stem.0"), ("query.0.weight", "query.0"), ("classifier.weight", "logits")],
)
def test_one_broken_weight_is_noticed(
    trained: tuple[SpartaNetwork, Measured], digits: Dataset, initializer: str, first: str
) -> None:
    model = build_model(trained[0].integers(), {})
    broken = next(entry for entry in model.graph.initializer if entry.name == initializer)
    weights = numpy_helper.to_array(broken).copy()
    largest = np.unravel_index(np.abs(weights.astype(int)).argmax(), weights.shape)
    weights[largest] = 0
    broken.CopyFrom(numpy_helper.from_array(weights, initializer))
    assert differing(trained[0], model, digits.spikes[:20], 64)[0] == first


BROKEN = {
    "msp.1.msp_tables": "msp",
    "msp.0.temporal_tables": "temporal",
    "msp.2.cells": "msp",
    "fusion.hidden_weight": "score",
    "dynamic_k.table": "dynamic_k",
    "dynamic_k.bias": "dynamic_k",
    "gain.timing": "gain",
    "gate.2.cells": "tokens",
    "priority.weight": "priority",
    "attention.temperature": "attention.0",
    "hidden.0.weight": "hidden.0",
    "context.conv.weight": "context",
}
"""Initializers, and the first tensor that notices when they are wrong."""


@pytest.mark.parametrize("initializer", BROKEN)
def test_a_broken_constant_of_each_part_is_noticed(full_config: SpartaConfig, initializer: str) -> None:
    network = SpartaNetwork.from_integers(random_integers(full_config, np.random.default_rng(1), 1))
    model = build_model(network.integers(), {})
    broken = next(entry for entry in model.graph.initializer if entry.name == initializer)
    values = numpy_helper.to_array(broken)
    changed = np.roll(values, 1) if values.size > 1 else values + values.dtype.type(5000)
    broken.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(changed), initializer))
    assert differing(network, model, random_spikes(full_config, 6, 2), 0)[0] == BROKEN[initializer]


@pytest.mark.parametrize("attribute", ["inhibition", "target", "gain"])
def test_a_broken_attribute_is_noticed(full_config: SpartaConfig, attribute: str) -> None:
    network = SpartaNetwork.from_integers(random_integers(full_config, np.random.default_rng(1), 1))
    model = build_model(network.integers(), {})
    found = next(entry for node in model.graph.node for entry in node.attribute if entry.name == attribute)
    found.i += 20
    first = {"inhibition": "spatial", "target": "next_state", "gain": "stem.0"}
    state = np.full(6, 50 << 8)
    assert differing(network, model, random_spikes(full_config, 6, 2), 0, state)[0] == first[attribute]


def test_file_names_its_nodes_after_modules(trained: tuple[SpartaNetwork, Measured], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(trained[0], path, trained[1].metadata())
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    parts = (
        "stem.0.conv",
        "stem.1.hilif",
        "cues.0",
        "msp.0",
        "score",
        "topk",
        "gain",
        "gate",
        "query.0",
        "attention.0",
        "classifier",
    )
    assert set(parts) <= set(names)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["name"] == "digits"
    assert float(metadata["accuracy"]) == round(trained[1].accuracy, 4)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def test_weights_are_int8_and_biases_int32(trained: tuple[SpartaNetwork, Measured]) -> None:
    model = build_model(trained[0].integers(), {})
    types = {entry.name: entry.data_type for entry in model.graph.initializer}
    inputs = {node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    assert {types[name] for name in inputs if name.endswith("weight")} == {onnx.TensorProto.INT8}
    assert {types[name] for name in inputs if name.endswith("bias")} == {onnx.TensorProto.INT32}
