"""Maps and variances of a network are those of its own tensors."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sparta_quant.config import SpartaConfig
from sparta_quant.data import Dataset
from sparta_quant.experiments.maps import maps_of
from sparta_quant.experiments.plots import plot_maps
from sparta_quant.experiments.variance import token_variance
from sparta_quant.network import SpartaNetwork
from sparta_quant.untrained import untrained_network


@pytest.fixture
def network(full_config: SpartaConfig, digits: Dataset) -> SpartaNetwork:
    return untrained_network(full_config, digits.spikes[:20])


def test_maps_show_the_selection_and_the_attention(network: SpartaNetwork, digits: Dataset) -> None:
    maps = maps_of(network, digits, 3)
    layers = network.layers(digits.unpacked(digits.tensor(torch.tensor([3]))))
    k = int(network.k_of(layers))
    chosen = set(layers["group"][0][layers["index"][0, :k].long()].tolist())
    assert {int(n) for n in np.flatnonzero(maps.selected)} == chosen
    assert maps.attention.sum() == pytest.approx(1.0)
    assert not maps.attention[maps.selected == 0].any()
    assert maps.rate.shape == network.config.grid
    assert maps.spikes.sum() == float(layers["local"].sum())
    np.testing.assert_array_equal(maps.input, digits.spikes[3].sum((0, 1)))


def test_variance_is_over_tokens(network: SpartaNetwork, digits: Dataset) -> None:
    few = digits.head(7)
    timing, interval = token_variance(network, few, batch=3)
    layers = network.layers(few.unpacked(few.tensor(torch.arange(7))))
    assert timing == pytest.approx(np.var(layers["first.1"].numpy(), axis=1).mean(), rel=1e-5)
    assert interval == pytest.approx(np.var(layers["interval.1"].numpy(), axis=1).mean(), rel=1e-5)


def test_plot_is_written(network: SpartaNetwork, digits: Dataset, tmp_path: Path) -> None:
    plot_maps(tmp_path / "figure3.png", [("a digit", maps_of(network, digits, 0))])
    assert (tmp_path / "figure3.png").read_bytes().startswith(b"\x89PNG")
