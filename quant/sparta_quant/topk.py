"""Hard selection of the K best tokens (paper STSG and SC), with gradients of soft masks."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Ranking", "TopKTokens", "gather_tokens", "rank_tokens"]


class Ranking(NamedTuple):
    """``tokens`` (batch, ranks) in rank order; ``mask`` (batch, N), 1 for the first K of each sample."""

    tokens: Tensor
    mask: Tensor


class TopKTokens(nn.Module):
    """The K largest scores, larger first; equal scores rank by lower token index.

    The mask is hard forward and soft backward::

        d mask / d score = d sigmoid((score - score_K) / deviation of the scores)
        d mask / d K     = d sigmoid((K - rank - 1/2) / (N / 16))
    """

    def forward(self, score: Tensor, k: Tensor, soft_k: Tensor | None = None) -> Ranking:
        """Rank scores (batch, N); ``k`` (batch,) integers, ``soft_k`` (batch, 1) the same with a gradient."""
        batch, tokens = score.shape
        order = rank_tokens(score)
        chosen = order[:, : int(k.max())] if batch else order[:, :1]
        inside = torch.arange(tokens) < k.unsqueeze(1)
        mask = torch.zeros_like(score).scatter(1, order, inside.to(score.dtype))
        if torch.is_grad_enabled():
            if score.requires_grad:
                last = score.detach().gather(1, order).gather(1, k.unsqueeze(1) - 1)
                width = score.detach().std(1, keepdim=True, correction=0) + 2.0**-4
                mask = _with_gradient(mask, (score - last) / width)
            if soft_k is not None and soft_k.requires_grad:
                rank = torch.empty_like(order).scatter(1, order, torch.arange(tokens).expand_as(order))
                mask = _with_gradient(mask, (soft_k - rank - 0.5) / (tokens / 16))
        return Ranking(chosen, mask)


def rank_tokens(score: Tensor) -> Tensor:
    """All token indices (batch, N) by score (batch, N), larger first, equal ones by lower index."""
    return torch.sort(score.detach(), dim=1, descending=True, stable=True).indices


def gather_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Rows ``index`` (batch, K) of tokens (batch, N, D): (batch, K, D)."""
    return tokens.gather(1, index.unsqueeze(2).expand(-1, -1, tokens.shape[2]))


def _with_gradient(mask: Tensor, margin: Tensor) -> Tensor:
    """``mask``, to the bit, with the gradient of ``sigmoid(margin)`` added to its own."""
    soft = torch.sigmoid(margin)
    return mask + (soft - soft.detach())
