"""Plain spiking networks: trained, deployed, exported, and equal in PyTorch, ONNX Runtime and the interpreter."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparta_hw.errors import ConfigError
from sparta_hw.interpreter import run
from sparta_hw.onnx_import import import_model
from sparta_hw.vectors import load_vectors
from sparta_hw.witness import check_against_runtime
from sparta_quant.checkpoint import load_checkpoint
from sparta_quant.config import Feedback, SpartaConfig, StemLayer
from sparta_quant.data import Dataset
from sparta_quant.data.fit import check_fit
from sparta_quant.export import export_onnx, export_vectors
from sparta_quant.inputs import network_inputs
from sparta_quant.named import NAMED_NETWORKS
from sparta_quant.networks import build_network, with_tokens
from sparta_quant.training import NETWORK_FILE, TrainSettings, train
from sparta_quant.untrained import untrained_network

CONFIG = SpartaConfig(
    name="plain",
    timesteps=5,
    input=(1, 6, 6),
    coding="rate",
    stem=(
        StemLayer(channels=20, kernel=6, stride=1, pad=0, reset="soft"),
        StemLayer(channels=3, kernel=1, stride=1, pad=0, reset="hard"),
    ),
    readout="counts",
    weight_bits=6,
    classes=3,
)


@pytest.fixture
def pixels() -> Dataset:
    """Three kinds of images: bright above, in the middle, or below."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 120)
    images = rng.integers(0, 60, (120, 1, 6, 6))
    for image, label in zip(images, labels, strict=True):
        image[0, 2 * label : 2 * label + 2] += 150
    return Dataset("bars", images.astype(np.uint8), labels, ("above", "middle", "below"), 0)


def test_named_mlp_is_the_peers_network() -> None:
    config = NAMED_NETWORKS["mlp"]
    assert (config.shapes, config.timesteps, config.tokens) == (((128, 1, 1), (10, 1, 1)), 25, 0)


def test_rate_coding_draws_the_same_spikes_again(pixels: Dataset) -> None:
    coded = pixels.rate_coded(25)
    np.testing.assert_array_equal(coded.inputs, pixels.rate_coded(25).inputs)
    assert (coded.inputs != pixels.rate_coded(25, seed=1).inputs).any()
    assert coded.spikes.mean() == pytest.approx(pixels.inputs.mean() / 255, abs=0.01)
    ends = replace(pixels, inputs=np.array([0, 255], np.uint8).reshape(1, 1, 1, 2)).rate_coded(25)
    assert ends.inputs.reshape(-1).tolist() == [0, (1 << 25) - 1]


def test_float32_equals_float64_and_counts_add_up(pixels: Dataset) -> None:
    samples = pixels.rate_coded(5).spikes[:20]
    network = untrained_network(CONFIG, samples)
    single = network.layer_integers(network_inputs(CONFIG, samples))
    double = network.double().layer_integers(network_inputs(CONFIG, samples).double())
    for name, values in single.items():
        assert torch.equal(values, double[name])
    assert torch.equal(single["logits"], single["stem.1"].sum(0)[:, :, 0, 0])
    assert single["logits"].unique().numel() > 2


def test_every_parameter_learns(pixels: Dataset) -> None:
    network = build_network(CONFIG).train()
    layers = network.layers(network_inputs(CONFIG, pixels.rate_coded(5).spikes))
    layers["logits"].square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_runtime_and_interpreter_agree(pixels: Dataset, tmp_path: Path) -> None:
    samples = pixels.rate_coded(5).spikes[:20]
    network = untrained_network(CONFIG, samples)
    export_onnx(network, tmp_path / "model.onnx")
    export_vectors(network, samples, pixels.labels[:20], tmp_path / "vectors.npz")
    vectors = load_vectors(tmp_path / "vectors.npz")
    fracs = {name: network.frac(name) for name in vectors.tensors}
    assert check_against_runtime(tmp_path / "model.onnx", fracs, vectors) == 20 * (5 * 23 + 3)
    graph = import_model(tmp_path / "model.onnx")
    assert (graph.tokens, graph.default_k, graph.dynamic) == (0, 0, False)
    weights = graph.operations[0].weight  # type: ignore[attr-defined]
    assert 16 <= np.abs(weights).max() <= 32
    for name, values in run(graph, samples).items():
        np.testing.assert_array_equal(values, vectors.k if name == "k" else vectors.tensors[name])


def test_training_learns_and_is_kept(pixels: Dataset, tmp_path: Path) -> None:
    coded = pixels.rate_coded(5)
    settings = TrainSettings(epochs=12, finetune_epochs=4, batch=20)
    network, measured = train(CONFIG, tmp_path, coded, coded, settings, progress=False)
    assert measured.accuracy > 0.9
    assert measured.accuracy_of_k == {0: measured.accuracy}
    again, _ = load_checkpoint(tmp_path / NETWORK_FILE)
    inputs = network_inputs(CONFIG, coded.spikes)
    assert torch.equal(again(inputs), network(inputs))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 4}, "the last layer is 3x1x1; to be counted it must have one neuron a class, 4x1x1"),
        ({"input": (1, 8, 8)}, "the last layer is 3x3x3"),
        ({"feedback": Feedback()}, "feedback needs tokens"),
        ({"weight_bits": 9}, "weight_bits must be 2 to 8, not 9"),
    ],
)
def test_configurations_that_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **changes)  # type: ignore[arg-type]


def test_misuse_is_refused(pixels: Dataset) -> None:
    network = build_network(CONFIG)
    with pytest.raises(ConfigError, match="it has no tokens: k must be 0, not 2"):
        network.layers(torch.zeros(5, 1, 1, 6, 6), 2)
    with pytest.raises(ConfigError, match="this is about tokens"):
        with_tokens(network)
    with pytest.raises(ConfigError, match="it is for coding 'direct', the network has 'rate'"):
        check_fit(CONFIG, pixels)
