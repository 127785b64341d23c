"""Functions over all steps equal the same equations written step by step, values and gradients."""

import math

import pytest
import torch
from torch import Tensor

from sparta_quant.grid import floor_ste
from sparta_quant.lif_over_time import lif_over_time
from sparta_quant.spike_timing import SpikeTiming, spike_timing

SHAPE = (7, 3, 4, 5, 2)


class Spike(torch.autograd.Function):
    """One step of the threshold with the ATan surrogate."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradients[0] / (1 + (math.pi * u) ** 2)


def step_by_step(
    x: Tensor, tau_inv: Tensor, v_th: Tensor, v_reset: float, soft: bool, frac: int | None
) -> Tensor:
    v, spikes = torch.full_like(x[0], v_reset), []
    for x_t in x:
        charge = (x_t - v) * tau_inv
        v = v + (charge if frac is None else floor_ste(charge, frac))
        s_t = Spike.apply(v - v_th)
        fired = s_t.detach()
        v = v - fired * v_th if soft else (1 - fired) * v + fired * v_reset
        spikes.append(s_t)
    return torch.stack(spikes)


@pytest.mark.parametrize("frac", [None, 4])
@pytest.mark.parametrize(("soft", "v_reset"), [(True, 0.0), (False, -0.25)])
@pytest.mark.parametrize("per_sample", [False, True], ids=["a threshold a channel", "a threshold a sample"])
def test_lif_equals_its_equations_step_by_step(
    frac: int | None, soft: bool, v_reset: float, per_sample: bool
) -> None:
    generator = torch.Generator().manual_seed(1)
    draws = torch.randn(SHAPE, generator=generator, dtype=torch.float64) * 2
    results = []
    for function in (lif_over_time, step_by_step):
        x = (draws * 16).round().div(16).requires_grad_()
        tau_inv = torch.full((4, 1, 1), 0.375, dtype=torch.float64, requires_grad=True)
        v_th = torch.full((3 if per_sample else 1, 4, 1, 1), 0.75, dtype=torch.float64, requires_grad=True)
        spikes = function(x, tau_inv, v_th, v_reset=v_reset, soft=soft, frac=frac)
        (spikes * torch.linspace(-1, 1, spikes.numel(), dtype=torch.float64).view_as(spikes)).sum().backward()
        results.append((spikes.detach(), x.grad, tau_inv.grad, v_th.grad))
    assert 0.05 < float(results[0][0].mean()) < 0.95
    for fused, expected in zip(*results, strict=True):
        torch.testing.assert_close(fused, expected)


def test_lif_keeps_the_memory_layout_of_its_currents() -> None:
    x = torch.randn(6, 4, 5, 5).to(memory_format=torch.channels_last).unflatten(0, (3, 2))
    spikes = lif_over_time(x, torch.tensor(0.5), torch.tensor(0.1), v_reset=0.0, soft=True, frac=None)
    assert spikes.stride() == x.stride()


def test_lif_of_bfloat16_currents_has_the_spikes_of_float32() -> None:
    draws = (torch.randn(SHAPE, generator=torch.Generator().manual_seed(3)) * 2).bfloat16()
    tau_inv, v_th = torch.rand(4, 1, 1), torch.rand(4, 1, 1) + 0.5
    results = []
    for currents in (draws, draws.float()):
        x = currents.clone().requires_grad_()
        spikes = lif_over_time(x, tau_inv, v_th, v_reset=0.0, soft=True, frac=None)
        assert spikes.dtype == x.dtype
        spikes.sum().backward()
        assert x.grad is not None
        results.append((spikes.float(), x.grad.float()))
    (half, half_gradient), (full, full_gradient) = results
    assert torch.equal(half, full)
    torch.testing.assert_close(half_gradient, full_gradient, rtol=2**-8, atol=0)


def silence(spikes: Tensor) -> Tensor:
    silent, steps = torch.ones_like(spikes[0]), torch.zeros_like(spikes[0])
    for s_t in spikes:
        silent = silent * (1 - s_t)
        steps = steps + silent
    return steps


def timing_by_its_polynomials(spikes: Tensor) -> SpikeTiming:
    pairs = (spikes[1:] * spikes[:-1]).sum(0)
    return SpikeTiming(spikes.sum(0), pairs, silence(spikes), silence(spikes.flip(0)))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4, 1.0])
def test_spike_timing_equals_its_polynomials(rate: float) -> None:
    train = (torch.rand(SHAPE, generator=torch.Generator().manual_seed(2)) < rate).double()
    fused, reference = train.clone().requires_grad_(), train.clone().requires_grad_()
    values, expected = spike_timing(fused), timing_by_its_polynomials(reference)
    for timing in (values, expected):
        weights = torch.linspace(-1, 2, sum(part.numel() for part in timing), dtype=torch.float64)
        (torch.stack(timing).flatten() * weights).sum().backward()
    assert all(torch.equal(*parts) for parts in zip(values, expected, strict=True))
    torch.testing.assert_close(fused.grad, reference.grad)


def test_spike_timing_of_bfloat16_is_float32() -> None:
    train = (torch.rand(SHAPE, generator=torch.Generator().manual_seed(2)) < 0.2).bfloat16()
    for half, full in zip(spike_timing(train), spike_timing(train.float()), strict=True):
        assert half.dtype == torch.float32
        assert torch.equal(half, full)
