"""The step of a neuron's first spike as one differentiable function over all steps."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["first_spike"]


def first_spike(spikes: Tensor, *, backwards: bool = False) -> Tensor:
    """Silent steps before the first spike along axis 0, or after the last one; T where there is none.

    ``sum_t prod_{u <= t} (1 - s_u)``, and its gradient: more of a spike before the first one takes away the steps
    from there on to the first, less of the first one adds those to the second.

    Parameters
    ----------
    spikes : Tensor (T, ...)
        0 or 1.
    backwards : bool
        Count from the last step.
    """
    return _FirstSpike.apply(spikes, backwards)


class _FirstSpike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, backwards: bool) -> Tensor:
        ctx.save_for_backward(spikes)
        ctx.backwards = backwards
        silent = torch.ones_like(spikes[0])
        steps = torch.zeros_like(silent)
        for t in _order(spikes, backwards):
            silent.addcmul_(silent, spikes[t], value=-1)
            steps.add_(silent)
        return steps

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """``-(prod of the silence before t) (1 + sum over u > t of the silence between t and u)``."""
        (spikes,) = ctx.saved_tensors
        order = _order(spikes, ctx.backwards)
        result = torch.empty_like(spikes)
        before = -gradients[0]
        for t in order:
            result[t] = before
            before.addcmul_(before, spikes[t], value=-1)
        after = torch.ones_like(before)
        for t in reversed(order):
            result[t].mul_(after)
            after.addcmul_(after, spikes[t], value=-1).add_(1)
        return result, None


def _order(spikes: Tensor, backwards: bool) -> list[int]:
    steps = list(range(len(spikes)))
    return steps[::-1] if backwards else steps
