"""Hard selection of the K best tokens (paper STSG and SC)."""

import torch
from torch import Tensor, nn

__all__ = ["TopKTokens", "gather_tokens"]


class TopKTokens(nn.Module):
    """Indices of the K largest scores, larger first; equal scores rank by lower token index."""

    def forward(self, score: Tensor, k: int) -> Tensor:
        """Indices (batch, K) of scores (batch, N), in rank order."""
        order = torch.sort(score.detach(), dim=1, descending=True, stable=True).indices
        return order[:, :k]


def gather_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Rows ``index`` (batch, K) of tokens (batch, N, D): (batch, K, D)."""
    return tokens.gather(1, index.unsqueeze(2).expand(-1, -1, tokens.shape[2]))
