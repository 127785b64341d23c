"""Random networks cover the shapes and parts the compiler must handle, and are alive."""

import copy

import numpy as np
import pytest
import torch

from sparta_quant.config import SpartaConfig
from sparta_quant.inputs import network_inputs
from sparta_quant.network import SpartaNetwork
from sparta_quant.random_network import random_network, random_spikes

SEEDS = range(40)


@pytest.fixture(scope="module")
def networks() -> list[SpartaNetwork]:
    return [random_network(seed) for seed in SEEDS]


def random_input(config: SpartaConfig, count: int) -> torch.Tensor:
    return network_inputs(config, random_spikes(config, count, 1000))


@torch.no_grad()
def test_layers_fire_and_float32_equals_float64(networks: list[SpartaNetwork]) -> None:
    moving = 0
    for network in networks:
        inputs = random_input(network.config, 12)
        layers = network.layers(inputs)
        double = copy.deepcopy(network).double().layers(inputs.double())
        assert all(torch.equal(layers[name].double(), double[name].double()) for name in layers)
        rates = network.firing_rates(layers)
        assert all(0.02 < rate < 0.95 for rate in rates.values()), (network.config.name, rates)
        moving += bool(layers["logits"].std(0).max() > 0)
    assert moving >= 0.9 * len(networks)


def test_the_same_seed_gives_the_same_network() -> None:
    first, second = random_network(5).integers(), random_network(5).integers()
    assert first.config == second.config
    np.testing.assert_array_equal(first.spiking[0].conv.weight, second.spiking[0].conv.weight)
    np.testing.assert_array_equal(first.spiking[-1].hilif.threshold, second.spiking[-1].hilif.threshold)


def test_shapes_are_diverse_and_within_limits(networks: list[SpartaNetwork]) -> None:
    configs = [network.config for network in networks]
    layers = [layer for config in configs for layer in config.stem]
    assert {len(config.stem) for config in configs} == {1, 2, 3}
    assert {layer.kernel for layer in layers} == {1, 3, 5}
    assert {layer.stride for layer in layers} == {1, 2}
    assert {layer.reset for layer in layers} == {"hard", "soft"}
    assert {1, 8} <= {config.timesteps for config in configs} <= set(range(1, 9))
    assert {3, 5, 12} <= {layer.channels for layer in layers}
    for config in configs:
        assert 4 <= config.grid_tokens <= 16
        assert config.tokens <= 16
        assert config.features <= 32
        assert config.heads == 1 or config.features // config.heads % 4 == 0
        assert 2 <= config.classes <= 10


def test_every_part_is_on_in_some_and_off_in_others(networks: list[SpartaNetwork]) -> None:
    configs = [network.config for network in networks]
    for part in ("timing_attention", "fusion", "spatial", "dynamic_k", "priority", "temperature"):
        assert {getattr(config, part) for config in configs} == {False, True}, part
    assert {config.projection_bias for config in configs} == {False, True}
    assert {config.coding for config in configs} == {"spikes", "direct"}
    assert {config.attention_layers for config in configs} == {1, 2}
    assert {1, 2, 3} <= {config.heads for config in configs}
    assert {config.branches is None for config in configs} == {False, True}
    assert {config.feedback is None for config in configs} == {False, True}
    assert {config.default_k == 0 for config in configs} == {False, True}
    groups = [config.groups - config.grid_tokens for config in configs if config.groups is not None]
    assert min(groups) < 0 < max(groups)


@torch.no_grad()
def test_ties_saturation_and_several_k_occur(networks: list[SpartaNetwork]) -> None:
    found = {"ties": 0, "saturation": 0, "several K": 0}
    for network in networks:
        layers = network.layer_integers(random_input(network.config, 8))
        score = layers["score"]
        found["ties"] += any(len(row.unique()) < len(row) for row in score)
        found["saturation"] += bool(((score == 2047) | (score == -2048)).any())
        found["several K"] += len(layers.get("dynamic_k", torch.zeros(1)).unique()) > 1
    assert min(found.values()) >= 3, found
