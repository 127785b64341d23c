"""The whole network: exact in both precisions, trainable everywhere, equal before and after deployment."""

import copy
from dataclasses import replace

import pytest
import torch

from sparta_hw.errors import ConfigError, UnsupportedError
from sparta_quant.checkpoint import Measured
from sparta_quant.config import CUES, SpartaConfig, StemLayer
from sparta_quant.data import Dataset
from sparta_quant.named import NAMED_NETWORKS
from sparta_quant.network import SpartaNetwork
from sparta_quant.weights import linear_weights

DIGITS = NAMED_NETWORKS["digits"]


def spikes_of(dataset: Dataset, count: int) -> torch.Tensor:
    return torch.from_numpy(dataset.spikes[:count]).transpose(0, 1).float()


def started(config: SpartaConfig) -> SpartaNetwork:
    """An untrained network on the grids, its normalisation settled on random spikes."""
    torch.manual_seed(0)
    network = SpartaNetwork(config)
    with torch.no_grad():
        for _ in range(20):
            network(random_input(config))
    network.quantize()
    if config.feedback:
        network.calibrate_feedback(random_input(config))
    return network


def random_input(config: SpartaConfig) -> torch.Tensor:
    if config.coding == "direct":
        return torch.randint(0, 256, (8, *config.input)).float()
    return (torch.rand(config.timesteps, 8, *config.input) < 0.25).float()


def silent_parameters(network: SpartaNetwork) -> list[str]:
    return [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]


@pytest.mark.parametrize("k", [1, 22, 64])
def test_float32_equals_float64(trained: tuple[SpartaNetwork, Measured], digits: Dataset, k: int) -> None:
    spikes = spikes_of(digits, 16)
    single = trained[0].layers(spikes, k)
    double = copy.deepcopy(trained[0]).double().layers(spikes.double(), k)
    for name, values in single.items():
        assert torch.equal(values.double(), double[name].double()), name


def test_all_values_are_on_their_grids(trained: tuple[SpartaNetwork, Measured], digits: Dataset) -> None:
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
    assert not silent_parameters(network)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("coding", ["spikes", "direct"])
def test_every_parameter_of_every_part_gets_a_gradient(
    full_config: SpartaConfig, coding: str, exact: bool
) -> None:
    config = replace(full_config, coding=coding)
    network = started(config) if exact else SpartaNetwork(config)
    inputs = random_input(config) if coding == "direct" else (torch.rand(8, 8, 2, 16, 16) < 0.5).float()
    torch.nn.functional.cross_entropy(network(inputs), torch.arange(8)).backward()
    assert not silent_parameters(network)


PARTS_OFF = {
    "branches": None,
    "timing_attention": False,
    "groups": None,
    "fusion": False,
    "spatial": False,
    "dynamic_k": False,
    "priority": False,
    "temperature": False,
    "heads": 1,
    "attention_layers": 1,
    "feedback": None,
    "msp_cues": ("rate",),
    "learn_priors": False,
    "tau_sigma": 0.0,
    "v_sigma": 0.0,
    "coding": "direct",
}


@pytest.mark.parametrize("part", PARTS_OFF)
def test_each_part_can_be_left_out(full_config: SpartaConfig, part: str) -> None:
    default_k = 5 if part == "dynamic_k" else 0
    config = replace(full_config, **{part: PARTS_OFF[part], "default_k": default_k})
    network = started(config)
    inputs = random_input(config)
    layers = network.layers(inputs)
    layers["logits"].sum().backward()
    assert all(value.grad is not None for value in network.parameters())
    deployed = network.deploy().layers(inputs)
    double = network.deploy().double().layers(inputs.double())
    assert all(torch.equal(layers[name], deployed[name]) for name in layers if name != "dynamic_k")
    assert all(torch.equal(deployed[name].double(), double[name].double()) for name in deployed)


def test_left_out_cues_have_tables_of_zeros(full_config: SpartaConfig) -> None:
    for left_out in CUES:
        cues = tuple(cue for cue in CUES if cue != left_out)
        score = SpartaNetwork(replace(full_config, msp_cues=cues, feedback=None)).integers().scores[0]
        assert [not table.any() for table in score.msp] == [cue == left_out for cue in CUES]


def test_parts_that_are_off_have_no_tensors(tiny_config: SpartaConfig, full_config: SpartaConfig) -> None:
    with torch.no_grad():
        few = started(tiny_config).layers(random_input(tiny_config))
        many = started(full_config).deploy().layers(random_input(full_config))
    optional = {"group", "spatial", "dynamic_k", "priority", "index", "next_state"}
    assert not optional & set(few)
    assert optional <= set(many)
    assert torch.equal(few["score"], few["msp"])
    assert list(many)[:5] == ["stem.0", "stem.1", "fine", "local", "context"]
    assert many["msp"].shape == (8, 16)
    assert many["group"].shape == many["score"].shape == (8, 12)


def test_each_sample_has_its_own_k(full_config: SpartaConfig) -> None:
    config = replace(full_config, feedback=None)
    network = SpartaNetwork(config)
    network.quantize()
    network.stsg.dynamic_k.forward = lambda *_: torch.tensor([[1], [5], [12], [4], [5], [1], [7], [9]])
    inputs = random_input(config)
    with torch.no_grad():
        batch = network.layers(inputs)
        k = network.k_of(batch).tolist()
        assert k == [1, 5, 12, 4, 5, 1, 7, 9]
        for n, own in enumerate(k):
            alone = network.layers(inputs[:, n : n + 1], own)
            assert torch.equal(alone["logits"][0], batch["logits"][n])
            assert torch.equal(alone["attention.1"][0], batch["attention.1"][n, :own])
            assert not batch["attention.1"][n, own:].any()


def test_a_single_sample_is_a_batch_to_train_on(full_config: SpartaConfig) -> None:
    network = SpartaNetwork(full_config).train()
    loss = network.layers(random_input(full_config)[:, :1])["logits"].square().sum()
    loss.backward()
    assert torch.isfinite(loss)


def test_sparsity_loss_moves_k_towards_the_target(full_config: SpartaConfig) -> None:
    network = started(full_config)
    inputs = random_input(full_config)
    optimizer = torch.optim.Adam(network.stsg.dynamic_k.parameters(), 0.05)
    losses = []
    for _ in range(40):
        loss = network.sparsity_loss(network.layers(inputs), target=0.25)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 0.1
    assert losses[-1] < 0.01


def test_a_state_moves_thresholds_and_follows_the_activity(full_config: SpartaConfig) -> None:
    network = started(full_config).deploy()
    inputs = random_input(full_config)
    high = torch.full((8,), 200 << 8)
    quiet, busy = (network.layers(inputs, state=state) for state in (high, -high))
    assert quiet["stem.0"].sum() < busy["stem.0"].sum()
    rest = network.layers(inputs)
    assert torch.equal(rest["stem.0"], network.layers(inputs, state=torch.zeros(8).long())["stem.0"])
    assert rest["next_state"].any()
    assert (quiet["next_state"] < high).all()


def test_feedback_must_be_calibrated_before_deployment(full_config: SpartaConfig) -> None:
    network = SpartaNetwork(full_config)
    with pytest.raises(ConfigError, match="quantize it first"):
        network.calibrate_feedback(random_input(full_config))
    with pytest.raises(ConfigError, match="call calibrate_feedback"):
        network.deploy()
    with pytest.raises(ConfigError, match="no feedback controller"):
        SpartaNetwork(DIGITS).calibrate_feedback(random_input(DIGITS))


def test_grids_of_the_residual_stream_must_agree(full_config: SpartaConfig) -> None:
    with pytest.raises(ConfigError, match=r"token_frac \(3\) must equal value_frac \(4\): hidden.0"):
        SpartaNetwork(replace(full_config, token_frac=3))
    with pytest.raises(ConfigError, match=r"hidden_frac \(3\) must equal value_frac \(4\): hidden.1"):
        SpartaNetwork(replace(full_config, hidden_frac=3, attention_layers=3))


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
    assert all(layer.conv.frac >= DIGITS.membrane_frac for layer in integers.spiking)
    assert all(0 <= gain <= 255 for gain in (integers.gate.alpha, integers.gate.beta))
    assert integers.scores[0].msp[0].max() == 0


def test_weights_that_need_a_left_shift_are_refused() -> None:
    coarse = linear_weights(2, 2, bias=False, input_frac=0, output_frac=-8).integers()
    fine = linear_weights(2, 2, bias=False, input_frac=0, output_frac=12)
    with pytest.raises(UnsupportedError, match=r"would need a shift to the left.*at least 12"):
        fine.freeze(coarse)


@pytest.mark.parametrize("k", [0, 65, -1])
def test_k_outside_the_tokens_is_refused(trained: tuple[SpartaNetwork, Measured], k: int) -> None:
    with pytest.raises(ConfigError, match=f"k must be 1 to 64, not {k}"):
        trained[0](torch.zeros(8, 1, 2, 16, 16), k)


def test_k_zero_is_each_samples_own(full_config: SpartaConfig) -> None:
    with pytest.raises(ConfigError, match="k must be 1 to 12, or 0 for each sample's own, not 13"):
        SpartaNetwork(full_config)(random_input(full_config), 13)


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
