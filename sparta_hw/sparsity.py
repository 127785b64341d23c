"""Token sparsity levels and the K that each stands for."""

__all__ = ["SPARSITY_LEVELS", "topk_of"]

SPARSITY_LEVELS = (0.0, 25.0, 50.0, 65.4, 75.0)
"""Token sparsities in percent that training draws from and reports cover (paper Table 3, and dense attention)."""


def topk_of(tokens: int, sparsity_percent: float) -> int:
    """K of a token sparsity: ``max(1, round(N * (1 - s)))`` (paper Table 3)."""
    return max(1, round(tokens * (1 - sparsity_percent / 100)))
