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
    neurons = HILIF(CHANNELS, soft=soft, v_reset=v_reset, membrane=MEMBRANE, v_mu=1.0)
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


def test_initial_parameters_follow_the_priors() -> None:
    torch.manual_seed(0)
    neurons = HILIF(20_000, soft=False, v_reset=0, membrane=MEMBRANE, v_mu=0.5)
    tau = 1 + torch.exp(-neurons.w)
    assert tau.min() >= 1.01 - 1e-5
    assert abs(tau.mean() - 2.0) < 0.01
    assert abs(tau.std() - 0.3) < 0.01
    assert abs(neurons.v_th.mean() - 0.5) < 0.005
    assert abs(neurons.v_th.std() - 0.1) < 0.005


def test_integers_stay_in_range() -> None:
    neurons = HILIF(4, soft=False, v_reset=0, membrane=MEMBRANE, v_mu=1.0)
    with torch.no_grad():
        neurons.w.copy_(torch.tensor([-30.0, 30.0, 0.0, 0.0]))
        neurons.v_th.copy_(torch.tensor([-1.0, 0.0, 1.0, 1e6]))
    integers = neurons.integers()
    np.testing.assert_array_equal(integers.leak, [1, 255, 128, 128])
    np.testing.assert_array_equal(integers.threshold, [1, 1, 256, 32767])


@pytest.mark.parametrize("soft", [True, False])
def test_gradients_reach_input_leak_and_threshold(soft: bool) -> None:
    neurons = HILIF(3, soft=soft, v_reset=0, membrane=MEMBRANE, v_mu=1.0)
    neurons.exact = True
    x = (torch.rand(6, 2, 3, 4, 4) * 4).requires_grad_()
    neurons(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert (neurons.w.grad != 0).all()
    assert (neurons.v_th.grad < 0).all()
