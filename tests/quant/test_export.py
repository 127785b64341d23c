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
from sparta_quant.events import EventDataset
from sparta_quant.export import build_model, export_onnx, export_vectors
from sparta_quant.network import SpartaNetwork
from sparta_quant.random_network import random_network, random_spikes

LEVELS = onnxruntime.GraphOptimizationLevel


def run_model(
    model: ModelProto, spikes: NDArray[np.uint8], k: int | None, level: LEVELS = LEVELS.ORT_ENABLE_ALL
) -> dict[str, NDArray]:
    """Every named tensor of ``model``; spikes (n, T, C, H, W)."""
    exposed = ModelProto()
    exposed.CopyFrom(model)
    exposed.graph.output.extend(model.graph.value_info)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(exposed.SerializeToString(), options)
    feeds = {"spikes": spikes.transpose(1, 0, 2, 3, 4).astype(np.float32)}
    if k is not None:
        feeds["k"] = np.array([k], np.int64)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def differing(
    network: SpartaNetwork, model: ModelProto, spikes: NDArray[np.uint8], k: int | None, **options: LEVELS
) -> list[str]:
    """Names of the tensors on which ONNX Runtime and PyTorch disagree."""
    found = run_model(model, spikes, k, **options)
    with torch.no_grad():
        layers = network.layers(torch.from_numpy(spikes).transpose(0, 1).float(), k)
    assert set(found) == set(layers)
    return [name for name, values in layers.items() if not np.array_equal(values.numpy(), found[name])]


@pytest.mark.parametrize("k", [None, 1, 16, 64])
def test_trained_network(
    trained: tuple[SpartaNetwork, Measured], digits: EventDataset, k: int | None
) -> None:
    network = trained[0]
    assert differing(network, build_model(network.integers(), {}), digits.spikes[:20], k) == []


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed: int) -> None:
    network = random_network(seed)
    model = build_model(network.integers(), {})
    spikes = random_spikes(network.config, 4, seed)
    for k in (None, 1, network.config.tokens):
        assert differing(network, model, spikes, k) == []


@pytest.mark.parametrize(
    "level", [LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_BASIC, LEVELS.ORT_ENABLE_EXTENDED]
)
def test_every_optimisation_level(level: LEVELS) -> None:
    network = random_network(2)
    model = build_model(network.integers(), {})
    assert differing(network, model, random_spikes(network.config, 4, 0), None, level=level) == []


@pytest.mark.parametrize(
    ("initializer", "first"),
    [("stem.0.conv.weight", "stem.0"), ("query.weight", "query"), ("classifier.weight", "logits")],
)
def test_one_broken_weight_is_noticed(
    trained: tuple[SpartaNetwork, Measured], digits: EventDataset, initializer: str, first: str
) -> None:
    model = build_model(trained[0].integers(), {})
    broken = next(entry for entry in model.graph.initializer if entry.name == initializer)
    weights = numpy_helper.to_array(broken).copy()
    largest = np.unravel_index(np.abs(weights.astype(int)).argmax(), weights.shape)
    weights[largest] = 0
    broken.CopyFrom(numpy_helper.from_array(weights, initializer))
    assert differing(trained[0], model, digits.spikes[:20], 64)[0] == first


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
        "cues",
        "score",
        "topk",
        "gate",
        "query",
        "attention",
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


def test_vectors_are_the_integers_of_every_layer(tmp_path: Path) -> None:
    network = random_network(3)
    config = network.config
    spikes = random_spikes(config, 5, 0)
    labels = np.arange(5) % config.classes
    path = tmp_path / "vectors.npz"
    export_vectors(network, spikes, labels, path, k=2)
    found = run_model(build_model(network.integers(), {}), spikes, 2)
    with np.load(path) as vectors:
        np.testing.assert_array_equal(vectors["input"], spikes)
        np.testing.assert_array_equal(vectors["labels"], labels)
        assert vectors["k"] == 2
        assert set(vectors.files) == {"input", "labels", "k", *found}
        for name, values in found.items():
            batch_first = values.swapaxes(0, 1) if name.startswith("stem.") else values
            np.testing.assert_array_equal(
                vectors[name], batch_first.astype(np.float64) * 2.0 ** network.frac(name)
            )
