"""Branches of STEN, direct coding, and the records of their tokens equal integers computed elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from sparta_hw.errors import ConfigError
from sparta_quant.config import Branches, SpartaConfig
from sparta_quant.network import SpartaNetwork
from sparta_quant.random_network import random_integers, random_spikes
from sparta_quant.sten import cell_index


def deployed(config: SpartaConfig, seed: int = 0) -> SpartaNetwork:
    return SpartaNetwork.from_integers(random_integers(config, np.random.default_rng(seed), seed))


def integrated(network: SpartaNetwork, layer: int, sums: torch.Tensor) -> torch.Tensor:
    """Spikes of HI-LIF for the exact sums (T, batch, C, H, W) of a layer, in int64."""
    config, integers = network.config, network.integers().spiking[layer]
    x = (sums.long() >> integers.conv.frac - config.membrane_frac).clamp(-32768, 32767)
    leak, theta = (
        torch.from_numpy(values).view(-1, 1, 1) for values in (integers.hilif.leak, integers.hilif.threshold)
    )
    stage = network.spiking[layer]
    v_reset = round(stage.hilif.v_reset * 2.0**config.membrane_frac)
    v, spikes = torch.full_like(x[0], v_reset), []
    for x_t in x:
        v = v + (((x_t - v) * leak) >> 8)
        fired = v >= theta
        v = torch.where(fired, v - theta if stage.hilif.soft else v_reset, v)
        spikes.append(fired)
    return torch.stack(spikes)


def test_context_branch_is_one_convolution_with_tied_weights(full_config: SpartaConfig) -> None:
    network = deployed(replace(full_config, feedback=None))
    spikes = torch.from_numpy(random_spikes(full_config, 3, 1)).transpose(0, 1).float()
    layers = network.layers(spikes, 4)
    conv = network.integers().spiking[-1].conv
    tied = torch.from_numpy(conv.weight).repeat_interleave(2, 2).repeat_interleave(2, 3).double()
    sums = functional.conv2d(
        layers["stem.1"].flatten(0, 1).double(), tied, torch.from_numpy(conv.bias).double(), stride=2
    )
    expected = integrated(network, 4, sums.unflatten(0, (8, 3)))
    assert torch.equal(layers["context"].bool(), expected)
    assert 0.05 < expected.double().mean() < 0.95


def test_direct_coding_shows_the_same_currents_in_every_step(full_config: SpartaConfig) -> None:
    config = replace(full_config, coding="direct", feedback=None)
    network = deployed(config)
    pixels = torch.from_numpy(random_spikes(config, 3, 1))
    assert pixels.max() > 200
    conv = network.integers().spiking[0].conv
    sums = functional.conv2d(
        pixels.double(),
        torch.from_numpy(conv.weight).double(),
        torch.from_numpy(conv.bias).double(),
        stride=2,
        padding=2,
    )
    expected = integrated(network, 0, sums.expand(8, *sums.shape))
    assert torch.equal(network.layers(pixels.float(), 4)["stem.0"].bool(), expected)
    assert 0.05 < expected.double().mean() < 0.95


def test_cells_of_tokens(full_config: SpartaConfig) -> None:
    assert cell_index(full_config).tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3]
    one = replace(full_config, branches=Branches(fine=8, local=8, context=8, cells=1))
    assert cell_index(one).tolist() == [0] * 16


def test_a_token_has_its_features_of_every_branch(full_config: SpartaConfig) -> None:
    config = replace(full_config, groups=None, feedback=None, timing_attention=False)
    network = deployed(config)
    spikes = torch.from_numpy(random_spikes(config, 2, 1)).transpose(0, 1).float()
    layers = network.layer_integers(spikes, 16)
    alpha = network.integers().gate.alpha
    for token in range(16):
        row, column = divmod(token, 4)
        places = {
            "fine": (row, column),
            "local": (row, column),
            "context": (row // 2, column // 2),
        }
        count = torch.cat([layers[name].sum(0)[:, :, r, c] for name, (r, c) in places.items()], 1)
        expected = ((count * alpha) >> 6 - config.token_frac).clamp(max=127)
        assert torch.equal(layers["tokens"][:, token], expected)


def test_grids_that_are_not_square_have_no_branches(full_config: SpartaConfig) -> None:
    with pytest.raises(ConfigError, match="branches need a square token grid, not 4x8"):
        SpartaNetwork(replace(full_config, input=(2, 16, 32), groups=None))
