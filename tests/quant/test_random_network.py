"""Random networks cover the shapes the compiler must handle, and are alive."""

import numpy as np
import pytest
import torch

from sparta_quant.random_network import random_network, random_spikes

SEEDS = range(30)


@pytest.mark.parametrize("seed", SEEDS)
def test_layers_fire(seed: int) -> None:
    network = random_network(seed)
    spikes = torch.from_numpy(random_spikes(network.config, 16, seed + 1000)).transpose(0, 1).float()
    layers = network.layers(spikes)
    for n in range(len(network.stem)):
        assert 0.05 < layers[f"stem.{n}"].mean() < 0.6
    assert layers["logits"].std() > 0


def test_the_same_seed_gives_the_same_network() -> None:
    first, second = random_network(5).integers(), random_network(5).integers()
    assert first.config == second.config
    np.testing.assert_array_equal(first.convs[0].weight, second.convs[0].weight)
    np.testing.assert_array_equal(first.hilifs[-1].threshold, second.hilifs[-1].threshold)


def test_shapes_are_diverse_and_within_limits() -> None:
    configs = [random_network(seed).config for seed in SEEDS]
    layers = [layer for config in configs for layer in config.stem]
    assert {len(config.stem) for config in configs} == {1, 2, 3}
    assert {layer.kernel for layer in layers} == {1, 3, 5}
    assert {layer.stride for layer in layers} == {1, 2}
    assert {layer.reset for layer in layers} == {"hard", "soft"}
    assert {1, 8} <= {config.timesteps for config in configs} <= set(range(1, 9))
    assert {3, 5, 12} <= {layer.channels for layer in layers}
    assert {config.projection_bias for config in configs} == {True, False}
    for config in configs:
        assert 4 <= config.tokens <= 16
        assert config.features <= 16
        assert 2 <= config.classes <= 10
        assert 1 <= config.default_k <= config.tokens
