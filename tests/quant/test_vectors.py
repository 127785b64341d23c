"""Vector files hold the integers of every layer, each sample as if it were computed alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sparta_quant import vectors
from sparta_quant.config import SpartaConfig
from sparta_quant.inputs import network_inputs
from sparta_quant.network import SpartaNetwork
from sparta_quant.random_network import random_integers, random_network, random_spikes
from sparta_quant.vectors import export_vectors

OF_RANKS = ("winners", "index", "query", "key", "value", "attention", "hidden")


def written(
    network: SpartaNetwork, inputs: NDArray[np.uint8], path: Path, k: int | None
) -> dict[str, NDArray]:
    export_vectors(network, inputs, np.arange(len(inputs)), path, k)
    with np.load(path) as content:
        return {name: content[name] for name in content.files}


def alone(network: SpartaNetwork, sample: NDArray[np.uint8], k: int, state: int | None) -> dict[str, NDArray]:
    """Integers of one sample, the batch dimension first."""
    layers = network.layer_integers(
        network_inputs(network.config, sample[None]).double(),
        k,
        None if state is None else torch.tensor([state]),
    )
    spikes = network.spike_names
    return {
        name: (value.transpose(0, 1) if name in spikes else value).numpy() for name, value in layers.items()
    }


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("k", [None, 1])
def test_each_sample_is_as_if_it_were_alone(
    seed: int, k: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "_BATCH", 2)
    network = random_network(seed)
    config = network.config
    inputs = random_spikes(config, 5, seed)
    content = written(network, inputs, tmp_path / "vectors.npz", k)
    request = config.default_k if k is None else k
    assert content["request"] == request
    np.testing.assert_array_equal(content["input"], inputs)
    np.testing.assert_array_equal(content["labels"], np.arange(5))
    double = network.double()
    state = 0 if config.feedback else None
    for n, sample in enumerate(inputs):
        expected = alone(double, sample, request, state)
        own = int(content["k"][n])
        assert set(content) - {"input", "labels", "k", "request"} == set(expected) - {"selected", "gain"}
        for name in set(expected) - {"selected", "gain"}:
            found = content[name][n]
            if name.split(".")[0] in OF_RANKS:
                assert len(found) == content["k"].max()
                found = found[:own]
            np.testing.assert_array_equal(found, expected[name][0])
        state = int(expected["next_state"][0]) if config.feedback else None


def test_samples_of_a_feedback_network_are_a_stream(full_config: SpartaConfig, tmp_path: Path) -> None:
    integers = random_integers(full_config, np.random.default_rng(1), 1)
    network = SpartaNetwork.from_integers(integers)
    inputs = np.repeat(random_spikes(full_config, 1, 3), 3, axis=0)
    stream = written(network, inputs, tmp_path / "stream.npz", None)["next_state"]
    assert len(set(stream.tolist())) > 1
    still = SpartaNetwork.from_integers(
        random_integers(replace(full_config, feedback=None), np.random.default_rng(1), 1)
    )
    content = written(still, inputs, tmp_path / "still.npz", None)
    assert (content["logits"] == content["logits"][0]).all()


def test_spikes_are_bytes_and_samples_have_their_own_k(full_config: SpartaConfig, tmp_path: Path) -> None:
    config = replace(full_config, feedback=None)
    network = SpartaNetwork.from_integers(random_integers(config, np.random.default_rng(2), 2))
    content = written(network, random_spikes(config, 12, 3), tmp_path / "vectors.npz", 0)
    assert content["stem.0"].dtype == np.uint8
    assert content["stem.0"].shape == (12, 8, 4, 8, 8)
    assert content["logits"].dtype == np.int32
    np.testing.assert_array_equal(content["k"], content["dynamic_k"][:, 0])
    assert len(set(content["k"].tolist())) > 1
