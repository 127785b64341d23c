"""HI-LIF equals Algorithm 1 in integers, for both resets and in both precisions."""

import numpy as np
import pytest
import torch

from sparta_hw.numerics import FixedPoint
from sparta_quant.hilif import HILIF
from sparta_quant.integers import HILIFIntegers

MEMBRANE = FixedPoint(16, 8)
CHANNELS = 5


def reference(x: np.ndarray, integers: HILIFIntegers, *, soft: bool, v_reset: int) -> np.ndarray:
    """One neuron at a time, in Python's integers."""
    spikes = np.zeros(x.shape, np.uint8)
    for place in np.ndindex(x.shape[1:]):
        channel = place[1]
        leak, theta = int(integers.leak[channel]), int(integers.threshold[channel])
        v = v_reset
        for t in range(x.shape[0]):
            v += ((int(x[(t, *place)]) - v) * leak) >> 8
            if v >= theta:
                spikes[(t, *place)] = 1
                v = v - theta if soft else v_reset
    return spikes


def frozen(*, soft: bool, v_reset: int, seed: int) -> tuple[HILIF, HILIFIntegers]:
    rng = np.random.default_rng(seed)
    neurons = HILIF(CHANNELS, soft=soft, v_reset=v_reset, membrane=MEMBRANE)
    integers = HILIFIntegers(rng.integers(1, 256, CHANNELS), rng.integers(1, 600, CHANNELS))
    neurons.freeze(integers)
    neurons.exact = True
    return neurons, integers


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("soft", "v_reset"), [(True, 0), (False, 0), (False, -37), (False, 19)])
@pytest.mark.parametrize("largest", [300, 1200, 32767])
def test_equals_integers(soft: bool, v_reset: int, largest: int, dtype: torch.dtype) -> None:
    neurons, integers = frozen(soft=soft, v_reset=v_reset, seed=largest)
    x = np.random.default_rng(1).integers(-largest - 1, largest + 1, (9, 2, CHANNELS, 3, 2))
    spikes = neurons.to(dtype)(torch.from_numpy(x).to(dtype) * MEMBRANE.scale)
    np.testing.assert_array_equal(spikes.numpy(), reference(x, integers, soft=soft, v_reset=v_reset))
    assert 0 < spikes.mean() < 1


def test_a_wrong_leak_is_noticed() -> None:
    neurons, integers = frozen(soft=False, v_reset=0, seed=0)
    x = np.random.default_rng(1).integers(-1200, 1201, (9, 8, CHANNELS, 3, 2))
    spikes = neurons(torch.from_numpy(x).float() * MEMBRANE.scale).numpy()
    wrong = HILIFIntegers(np.minimum(integers.leak + 8, 255), integers.threshold)
    assert (spikes != reference(x, wrong, soft=False, v_reset=0)).any()


def test_real_neurons_are_algorithm_1() -> None:
    """Without a grid the spikes follow the equations in real numbers."""
    torch.manual_seed(0)
    neurons = HILIF(CHANNELS, soft=False, v_reset=0, membrane=MEMBRANE)
    x = torch.rand(12, 3, CHANNELS, 2, 2) * 3
    tau = (neurons.tau.mu + neurons.tau.sigma * neurons.tau.z).detach()
    v_th = (neurons.threshold.mu + neurons.threshold.sigma * neurons.threshold.z).detach()
    v, spikes = torch.zeros(x.shape[1:]), []
    for x_t in x:
        v = v + (x_t - v) / tau.view(-1, 1, 1)
        spikes.append((v >= v_th.view(-1, 1, 1)).float())
        v = v * (1 - spikes[-1])
    assert torch.equal(neurons(x), torch.stack(spikes))
    assert 0.1 < torch.stack(spikes).mean() < 0.9


def test_initial_parameters_follow_the_priors() -> None:
    torch.manual_seed(0)
    neurons = HILIF(20_000, soft=False, v_reset=0, membrane=MEMBRANE, v_mu=0.5)
    tau_inv, v_th = (value.detach() for value in neurons.values())
    tau = 1 / tau_inv
    assert tau.min() >= 1.01 - 1e-5
    assert abs(tau.mean() - 2.0) < 0.01
    assert abs(tau.std() - 0.3) < 0.01
    assert abs(v_th.mean() - 0.5) < 0.005
    assert abs(v_th.std() - 0.1) < 0.005


def test_homogeneous_neurons_stay_homogeneous() -> None:
    neurons = HILIF(CHANNELS, soft=True, v_reset=0, membrane=MEMBRANE, tau_sigma=0.0, v_sigma=0.0)
    optimizer = torch.optim.AdamW(neurons.parameters(), 0.1)
    before = [value.detach() for value in neurons.values()]
    for _ in range(3):
        neurons(torch.rand(6, 2, CHANNELS, 4, 4) * 4).sum().backward()
        optimizer.step()
        neurons.clamp_()
    for start, value in zip(before, neurons.values(), strict=True):
        assert (value == value[0]).all()
        assert value[0] != start[0]


@pytest.mark.parametrize(
    ("sigma", "learn", "names"),
    [
        (0.2, True, {"mu", "sigma", "z"}),
        (0.2, False, {"z"}),
        (0.0, True, {"mu"}),
        (0.0, False, set()),
    ],
)
def test_what_is_learned(sigma: float, learn: bool, names: set[str]) -> None:
    neurons = HILIF(
        3, soft=True, v_reset=0, membrane=MEMBRANE, tau_sigma=sigma, v_sigma=sigma, learn_priors=learn
    )
    learned = {name for name, _ in neurons.named_parameters()}
    assert learned == {f"{prior}.{name}" for prior in ("tau", "threshold") for name in names}


def test_neurons_without_memory_have_the_fastest_leak() -> None:
    neurons = HILIF(3, soft=True, v_reset=0, membrane=MEMBRANE, memory=False)
    assert not any(name.startswith("tau") for name, _ in neurons.named_parameters())
    np.testing.assert_array_equal(neurons.integers().leak, [255] * 3)


def test_integers_stay_in_range() -> None:
    neurons = HILIF(4, soft=False, v_reset=0, membrane=MEMBRANE)
    with torch.no_grad():
        neurons.tau.z.copy_(torch.tensor([1e9, -1e9, 0.0, 0.0]))
        neurons.threshold.z.copy_(torch.tensor([-1e9, -5.0, 0.0, 1e9]))
    integers = neurons.integers()
    np.testing.assert_array_equal(integers.leak, [1, 253, 128, 128])
    np.testing.assert_array_equal(integers.threshold, [26, 26, 256, 32767])
    neurons.rescale_(torch.full((4,), 1e-6))
    assert neurons.integers().threshold.min() == 1


def test_offsets_move_the_thresholds_of_each_sample() -> None:
    neurons, integers = frozen(soft=False, v_reset=0, seed=4)
    x = np.random.default_rng(1).integers(-900, 901, (9, 3, CHANNELS, 3, 2))
    offsets = np.array([-700, 0, 40])
    spikes = neurons(torch.from_numpy(x).float() / 256, torch.from_numpy(offsets).float() / 256)
    for n, offset in enumerate(offsets):
        moved = HILIFIntegers(integers.leak, np.maximum(integers.threshold + offset, 1))
        expected = reference(x[:, n : n + 1], moved, soft=False, v_reset=0)
        np.testing.assert_array_equal(spikes[:, n : n + 1].numpy(), expected)


@pytest.mark.parametrize("soft", [True, False])
def test_gradients_reach_input_leak_and_threshold(soft: bool) -> None:
    neurons = HILIF(3, soft=soft, v_reset=0, membrane=MEMBRANE)
    neurons.exact = True
    x = (torch.rand(6, 2, 3, 4, 4) * 4).requires_grad_()
    neurons(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert (neurons.tau.z.grad != 0).all()
    assert (neurons.threshold.z.grad < 0).all()
    assert neurons.tau.mu.grad != 0
    assert neurons.threshold.mu.grad < 0
