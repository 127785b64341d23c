"""HI-LIF in floats against the neurons of spikingjelly: an outside check of equations and gradients."""

import pytest
import torch
from spikingjelly.activation_based import neuron, surrogate

from sparta_hw.numerics import FixedPoint
from sparta_quant.hilif import HILIF

CHANNELS = 6
SHAPE = (20, 5, CHANNELS, 3, 4)


def spikingjelly_spikes(
    x: torch.Tensor, tau_inv: torch.Tensor, v_th: torch.Tensor, *, soft: bool
) -> torch.Tensor:
    """One ParametricLIFNode a channel, as each has its own time constant and threshold."""
    channels = []
    for n in range(CHANNELS):
        node = neuron.ParametricLIFNode(
            init_tau=float(1 / tau_inv[n]),
            decay_input=True,
            v_threshold=float(v_th[n]),
            v_reset=None if soft else 0.0,
            surrogate_function=surrogate.ATan(alpha=2.0),
            detach_reset=True,
            step_mode="m",
        ).double()
        channels.append(node(x[:, :, n]))
    return torch.stack(channels, 2)


@pytest.mark.parametrize("soft", [True, False], ids=["soft reset", "hard reset"])
@pytest.mark.parametrize("tau_mu", [1.5, 2.0, 4.0])
def test_float_hilif_is_a_parametric_lif_node_a_channel(soft: bool, tau_mu: float) -> None:
    torch.manual_seed(0)
    hilif = HILIF(CHANNELS, soft=soft, v_reset=0, membrane=FixedPoint(16, 8), tau_mu=tau_mu).double()
    tau_inv, v_th = (value.detach() for value in hilif.values())
    draws = torch.randn(SHAPE, dtype=torch.float64) * 2.0 + 0.5
    weights = torch.randn(SHAPE, dtype=torch.float64)
    results = []
    for neurons in (hilif, lambda x: spikingjelly_spikes(x, tau_inv, v_th, soft=soft)):
        x = draws.clone().requires_grad_()
        spikes = neurons(x)
        (spikes * weights).sum().backward()
        results.append((spikes.detach(), x.grad))
    (ours, our_gradient), (theirs, their_gradient) = results
    assert 0.05 < float(ours.mean()) < 0.95
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-4, atol=1e-6)


def test_another_time_constant_is_noticed() -> None:
    torch.manual_seed(0)
    hilif = HILIF(CHANNELS, soft=True, v_reset=0, membrane=FixedPoint(16, 8)).double()
    tau_inv, v_th = (value.detach() for value in hilif.values())
    x = torch.randn(SHAPE, dtype=torch.float64) * 1.5
    assert not torch.equal(
        hilif(x).detach(), spikingjelly_spikes(x, tau_inv * 0.95, v_th, soft=True).detach()
    )
