"""Leaky integrate-and-fire over all steps as one differentiable function: no graph of small nodes for each step."""

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["lif_over_time"]


def lif_over_time(
    x: Tensor, tau_inv: Tensor, v_th: Tensor, *, v_reset: float, soft: bool, frac: int | None
) -> Tensor:
    """Spikes of the currents ``x``; the equations are those of :class:`~sparta_quant.hilif.HILIF`.

    The gradient of a spike is the derivative of ``atan(pi u) / pi`` at ``u = v' - v_th`` (ATan surrogate); the
    choice between reset and no reset has none (Fang et al., "Incorporating Learnable Membrane Time Constant",
    ICCV 2021, with detached reset). Membranes of one step are updated in place, so that they stay in the cache.

    Parameters
    ----------
    x : Tensor (T, batch, C, H, W)
        Currents; bfloat16 halves what is moved through memory.
    tau_inv : Tensor, broadcasts with (C, 1, 1)
        Leak, 0 to 1.
    v_th : Tensor, broadcasts with (batch, C, 1, 1)
        Thresholds.
    v_reset : float
        Membrane at the start and after a hard reset.
    soft : bool
        Reset by subtracting the threshold.
    frac : int or None
        Fractional bits that the charge is floored to; None: it is not.

    Returns
    -------
    Tensor (T, batch, C, H, W)
        0 or 1, in the type of ``x``; membranes are at least float32.
    """
    return _LifOverTime.apply(x, tau_inv, v_th, v_reset, soft, frac)


class _LifOverTime(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, tau_inv: Tensor, v_th: Tensor, v_reset: float, soft: bool, frac: int | None
    ) -> Tensor:
        margins, spikes = torch.empty_like(x, dtype=v_th.dtype), torch.empty_like(x)
        v = torch.full_like(margins[0], v_reset)
        s_t = torch.empty_like(v)
        for t, (x_t, margin) in enumerate(zip(x, margins, strict=True)):
            if frac is None:
                v.lerp_(x_t.to(v.dtype), tau_inv)
            else:
                charge = torch.sub(x_t, v, out=margin).mul_(tau_inv)
                v.add_(charge.mul_(2.0**frac).floor_().mul_(2.0**-frac))
            torch.sub(v, v_th, out=margin)
            spikes[t] = torch.ge(margin, 0, out=s_t)
            _reset_(v, s_t, v_th, v_reset, soft)
        ctx.save_for_backward(x, tau_inv, v_th, margins, spikes)
        ctx.v_reset, ctx.soft = v_reset, soft
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """With ``g`` the gradient of the membrane after the reset and ``m`` that of the margin, for each step::

        m   = d_spike / (1 + (pi u)^2)
        d_v'   = m + g              soft reset         m + (1 - s) g       hard reset
        d_v_th = -(m + s g)         soft reset         -m                  hard reset
        d_x = tau_inv d_v'      d_tau_inv = d_v' (x - v)      g of the step before = (1 - tau_inv) d_v'
        """
        x, tau_inv, v_th, margins, spikes = ctx.saved_tensors
        d_x = torch.empty_like(x)
        wide = margins.dtype
        g, leak, threshold = (torch.zeros_like(margins[0]) for _ in range(3))
        scratch, v = torch.empty_like(g), torch.empty_like(g)
        for t in reversed(range(len(x))):
            margin, s_t = margins[t], spikes[t].to(wide)
            torch.mul(margin, margin, out=scratch).mul_(math.pi**2).add_(1)
            m = torch.div(gradients[0][t].to(wide), scratch, out=scratch)
            threshold.sub_(m)
            if ctx.soft:
                threshold.addcmul_(s_t, g, value=-1)
            else:
                g.addcmul_(s_t, g, value=-1)
            d_v = g.add_(m)
            if ctx.needs_input_grad[1]:
                if t:
                    torch.add(margins[t - 1], v_th, out=v)
                    _reset_(v, spikes[t - 1].to(wide), v_th, ctx.v_reset, ctx.soft)
                else:
                    v.fill_(ctx.v_reset)
                leak.addcmul_(d_v, torch.sub(x[t].to(wide), v, out=scratch))
            d_x[t] = torch.mul(d_v, tau_inv, out=scratch)
            g.sub_(scratch)
        return d_x, leak.sum_to_size(tau_inv.shape), threshold.sum_to_size(v_th.shape), None, None, None


def _reset_(v: Tensor, spikes: Tensor, v_th: Tensor, v_reset: float, soft: bool) -> Tensor:
    """Exact: ``v - v`` is 0, and a product with 0 or 1 rounds nothing."""
    if soft:
        return v.addcmul_(spikes, v_th, value=-1)
    v.addcmul_(spikes, v, value=-1)
    return v.add_(spikes, alpha=v_reset) if v_reset else v
