"""Values that will saturate are named before the network goes to the grids."""

from dataclasses import replace

import pytest
import torch

from sparta_quant.config import SpartaConfig
from sparta_quant.network import SpartaNetwork
from sparta_quant.ranges import overflows


@pytest.fixture
def spikes() -> torch.Tensor:
    return (torch.rand(8, 16, 2, 16, 16, generator=torch.Generator().manual_seed(2)) < 0.5).float()


def network_of(config: SpartaConfig) -> SpartaNetwork:
    torch.manual_seed(0)
    network = SpartaNetwork(config)
    with torch.no_grad():
        network.stsg.gain.alpha.fill_(3.0)
    return network.eval()


def test_formats_that_hold_all_values_are_no_finding(full_config: SpartaConfig, spikes: torch.Tensor) -> None:
    wide = replace(full_config, token_frac=1, value_frac=1, hidden_frac=1, pooled_frac=-4)
    assert not overflows(network_of(wide), spikes)


def test_a_format_too_narrow_is_named_with_one_that_holds(
    full_config: SpartaConfig, spikes: torch.Tensor
) -> None:
    narrow = replace(full_config, token_frac=4, value_frac=4, hidden_frac=4)
    found = {overflow.name: overflow for overflow in overflows(network_of(narrow), spikes)}
    tokens = found["tokens"]
    assert tokens.share > 0.01
    assert tokens.largest > 127 / 16
    assert tokens.largest <= 127 * 2.0**-tokens.frac < 2 * tokens.largest
    assert "beyond 7.9375, the largest of token_frac = 4" in str(tokens)
    assert f"token_frac = {tokens.frac} holds them all" in str(tokens)
    repaired = network_of(replace(narrow, token_frac=tokens.frac, value_frac=tokens.frac, hidden_frac=4))
    assert "tokens" not in {overflow.name for overflow in overflows(repaired, spikes)}
