"""The whole network: exact in both precisions, trainable everywhere, equal before and after deployment."""

import copy

import pytest
import torch

from sparta_hw.errors import ConfigError, UnsupportedError
from sparta_quant.checkpoint import Measured
from sparta_quant.config import DIGITS, SpartaConfig, StemLayer
from sparta_quant.events import EventDataset
from sparta_quant.network import SpartaNetwork
from sparta_quant.weights import linear_weights


def spikes_of(dataset: EventDataset, count: int) -> torch.Tensor:
    return torch.from_numpy(dataset.spikes[:count]).transpose(0, 1).float()


def started(config: SpartaConfig) -> SpartaNetwork:
    """An untrained network on the grids, its normalisation settled on random spikes."""
    torch.manual_seed(0)
    network = SpartaNetwork(config)
    with torch.no_grad():
        for _ in range(20):
            network(random_input(config))
    network.quantize()
    return network


def random_input(config: SpartaConfig) -> torch.Tensor:
    return (torch.rand(config.timesteps, 8, *config.input) < 0.15).float()


@pytest.mark.parametrize("k", [1, 22, 64])
def test_float32_equals_float64(
    trained: tuple[SpartaNetwork, Measured], digits: EventDataset, k: int
) -> None:
    spikes = spikes_of(digits, 16)
    single = trained[0].layers(spikes, k)
    double = copy.deepcopy(trained[0]).double().layers(spikes.double(), k)
    for name, values in single.items():
        assert torch.equal(values.double(), double[name].double()), name


def test_all_values_are_on_their_grids(trained: tuple[SpartaNetwork, Measured], digits: EventDataset) -> None:
    network = trained[0]
    for name, values in network.layers(spikes_of(digits, 16)).items():
        scaled = values.double() * 2.0 ** network.frac(name)
        assert torch.equal(scaled, scaled.round()), name


def test_quantisation_aware_forward_equals_deployed(tiny_config: SpartaConfig) -> None:
    network = started(tiny_config)
    spikes = random_input(tiny_config)
    with torch.no_grad():
        aware, deployed = network.layers(spikes), network.deploy().layers(spikes)
    assert all(torch.equal(aware[name], deployed[name]) for name in aware)
    assert aware["stem.1"].any()


@pytest.mark.parametrize("exact", [False, True])
def test_every_parameter_gets_a_gradient(exact: bool) -> None:
    torch.manual_seed(0)
    network = SpartaNetwork(DIGITS)
    if exact:
        network = started(DIGITS)
    spikes = (torch.rand(8, 16, 2, 16, 16) < 0.3).float()
    torch.nn.functional.cross_entropy(network(spikes), torch.arange(16) % 10).backward()
    silent = [
        name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()
    ]
    assert not silent


def test_folding_does_not_change_what_the_network_computes(tiny_config: SpartaConfig) -> None:
    torch.manual_seed(0)
    network = SpartaNetwork(tiny_config).double()
    for _ in range(10):
        network(random_input(tiny_config).double())
    network.eval()
    spikes = random_input(tiny_config).double()
    with torch.no_grad():
        before = network.layers(spikes)
        for stage in network.stem:
            stage.fold_()
        after = network.layers(spikes)
    assert torch.equal(before["stem.1"], after["stem.1"])
    assert before["stem.1"].any()


def test_clamping_keeps_parameters_in_their_formats() -> None:
    network = SpartaNetwork(DIGITS)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(-1000.0)
    network.clamp_()
    integers = network.deploy().integers()
    assert all(conv.frac >= DIGITS.membrane_frac for conv in integers.convs)
    assert all(0 <= gain <= 255 for gain in (integers.gate.alpha, integers.gate.beta))
    assert integers.score.tables[0].max() == 0


def test_weights_that_need_a_left_shift_are_refused() -> None:
    coarse = linear_weights(2, 2, bias=False, input_frac=0, output_frac=-8).integers()
    fine = linear_weights(2, 2, bias=False, input_frac=0, output_frac=12)
    with pytest.raises(UnsupportedError, match=r"would need a shift to the left.*at least 12"):
        fine.freeze(coarse)


@pytest.mark.parametrize("k", [0, 65, -1])
def test_k_outside_the_tokens_is_refused(trained: tuple[SpartaNetwork, Measured], k: int) -> None:
    with pytest.raises(ConfigError, match=f"k must be 1 to 64, not {k}"):
        trained[0](torch.zeros(8, 1, 2, 16, 16), k)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem": ()}, "at least one layer"),
        ({"default_k": 65}, "default_k must be 1 to 64"),
        ({"token_frac": 7}, r"token_frac \(7\) must be at most 6"),
        ({"query_frac": 1, "key_frac": 2}, "at least 4"),
        ({"pooled_frac": 5}, "must not exceed both"),
        (
            {"stem": (StemLayer(channels=4, kernel=19, stride=1, pad=0, reset="hard"),), "default_k": 1},
            "no output position",
        ),
    ],
)
def test_contradicting_configurations_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SpartaConfig.from_dict(
            DIGITS.to_dict()
            | {
                name: [vars(layer) for layer in value] if name == "stem" else value
                for name, value in change.items()
            }
        )
