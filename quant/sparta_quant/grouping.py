"""Patch grouping: a fixed number of tokens, by selecting or duplicating grid tokens (paper "Patch Grouping")."""

import torch
from torch import Tensor

from sparta_quant.topk import rank_tokens

__all__ = ["grouped", "patch_group"]


def patch_group(rate: Tensor, tokens: int) -> Tensor:
    """Grid token (batch, tokens) of each token: ranked by ``rate`` (batch, N_grid), the best ones again at the end."""
    chosen = min(rate.shape[1], tokens)
    return rank_tokens(rate)[:, torch.arange(tokens) % chosen]


def grouped(values: Tensor, group: Tensor | None) -> Tensor:
    """Values (batch, N, ...) of tokens, from those of grid tokens (batch, N_grid, ...)."""
    if group is None:
        return values
    index = group if values.ndim == 2 else group.unsqueeze(2).expand(-1, -1, values.shape[2])
    return values.gather(1, index)
