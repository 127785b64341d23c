"""Spike count, neighbours in time, first and last spike of each neuron as one differentiable function."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["SpikeTiming", "spike_timing"]


class SpikeTiming(NamedTuple):
    """Of each neuron: spikes, intervals of one step, silent steps before the first spike and after the last.

    A silent neuron has T silent steps on both sides.
    """

    total: Tensor
    pairs: Tensor
    lead: Tensor
    tail: Tensor


def spike_timing(spikes: Tensor) -> SpikeTiming:
    """Timing of the spikes along axis 0, with the gradients of these polynomials::

        total = sum_t s_t                            pairs = sum_t s_t s_(t+1)
        lead  = sum_t prod_{u <= t} (1 - s_u)        tail  = sum_t prod_{u >= t} (1 - s_u)

    So more of a spike before the first one takes away the steps from there on to the first, and less of the first
    one adds those to the second; the same from the end. All is one scan in each direction of differentiation, with
    one step at a time in the cache.

    Parameters
    ----------
    spikes : Tensor (T, ...)
        0 or 1; results have this type, but at least float32.
    """
    return SpikeTiming(*_SpikeTiming.apply(spikes))


class _SpikeTiming(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor) -> tuple[Tensor, ...]:
        wide = torch.promote_types(spikes.dtype, torch.float32)
        silent = torch.ones_like(spikes[0], dtype=wide)
        few = torch.ones_like(silent)
        total, pairs, lead, tail, second, last_gap, before = (torch.zeros_like(silent) for _ in range(7))
        for spikes_t in spikes:
            s = spikes_t.to(wide)
            total.add_(s)
            pairs.addcmul_(before, s)
            # At most one spike so far: lost where one arrives after the first.
            few.addcmul_(few - silent, s, value=-1)
            silent.addcmul_(silent, s, value=-1)
            lead.add_(silent)
            second.add_(few)
            tail.add_(1)
            last_gap.lerp_(tail, s)
            tail.addcmul_(tail, s, value=-1)
            before = s
        first_gap = second.sub_(lead)
        ctx.save_for_backward(spikes, lead, tail, first_gap, last_gap)
        return total, pairs, lead, tail

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Of the gradients of the results::

        d_s_t = d_total + d_pairs (s_(t-1) + s_(t+1)) - d_lead max(lead - t, 0) - d_tail max(tail - (T - 1 - t), 0)

        At the first spike, instead of 0, there is the gap to the second one; the same at the last.
        """
        spikes, lead, tail, first_gap, last_gap = ctx.saved_tensors
        d_total, d_pairs, d_lead, d_tail = gradients
        result = torch.empty_like(spikes)
        wide, last = lead.dtype, len(spikes) - 1
        d_s, here, steps = (torch.empty_like(lead) for _ in range(3))
        to_first, to_last = lead.clone(), tail - last
        before, now = torch.zeros_like(lead), spikes[0].to(wide)
        for t in range(last + 1):
            after = spikes[t + 1].to(wide) if t < last else torch.zeros_like(lead)
            torch.add(before, after, out=d_s).mul_(d_pairs)
            for distance, gap, gradient in ((to_last, last_gap, d_tail), (to_first, first_gap, d_lead)):
                torch.eq(distance, 0, out=here)
                torch.clamp(distance, min=0, out=steps)
                d_s.sub_(steps.addcmul_(here, gap).mul_(gradient))
            result[t] = d_s.add_(d_total)
            to_first.sub_(1)
            to_last.add_(1)
            before, now = now, after
        return result
