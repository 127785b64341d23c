"""K of each sample from its cues (paper STSG, eq. 6-7)."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sparta_hw.config import CoreConfig
from sparta_quant.grid import GridModule, GridPart, exact_ste
from sparta_quant.token_mlp import INPUTS, TokenMLP

__all__ = ["DynamicK", "KTable", "k_table"]

_ENTRIES = 256
_ENTRY_FRAC = CoreConfig.sparsity_frac - 4
"""Fractional bits of the output that points into the table."""
_AVERAGE_SPARSITY_LOGIT = 0.6366
"""sigmoid of it is 0.654, the average sparsity of the paper."""
_SPREAD = 1.0
"""Of the initial weights: enough for K to differ between inputs."""
_EPS = 2.0**-8
"""Of the normalisation: statistics that hardly vary do not make weights that no integer holds."""


class KTable(GridPart[NDArray[np.int64]]):
    """``K[n] = clamp(round((1 - sigmoid((n - 127.5) / 16)) N), k_min, N)`` for outputs in steps of 1/16 from -8.

    Parameters
    ----------
    tokens, k_min : int
        N, and the smallest K.
    """

    table: Tensor

    def __init__(self, tokens: int, k_min: int) -> None:
        super().__init__()
        self._tokens, self._k_min = tokens, k_min

    def round(self) -> NDArray[np.int64]:
        return k_table(self._tokens, self._k_min)

    def reals(self, integers: NDArray[np.int64]) -> dict[str, Tensor | None]:
        return {"table": torch.from_numpy(integers)}

    def forward(self, y: Tensor) -> Tensor:
        """K (...) of the sparsity MLP's outputs (...), integers."""
        table = self.table if self.frozen else torch.from_numpy(self.round())
        return table[(torch.floor(y.detach() * 2.0**_ENTRY_FRAC) + _ENTRIES // 2).long()]


class DynamicK(GridModule):
    """``K = max(round((1 - rho) N), k_min)``, ``rho = sigmoid(MLP(mean rate, std first, mean interval))``.

    In the first phase of training the statistics are normalised over the batch, as they differ far less between inputs
    than from zero; :meth:`fold_` moves that into the weights. On the grid the statistics are integer divisions and an
    integer square root of the cues ``2^-3``, and K is read from a table of the output. The gradient is that of
    ``(1 - rho) N``; the cues get none.

    Parameters
    ----------
    tokens, k_min : int
        N, and the smallest K.
    """

    def __init__(self, tokens: int, k_min: int) -> None:
        super().__init__()
        self._tokens, self._k_min = tokens, k_min
        self.mlp = TokenMLP(
            CoreConfig.cue_frac,
            CoreConfig.sparsity_frac,
            bias=_AVERAGE_SPARSITY_LOGIT,
            spread=_SPREAD,
        )
        self.table = KTable(tokens, k_min)
        self.normalise: nn.BatchNorm1d | None = nn.BatchNorm1d(INPUTS, eps=_EPS, affine=False)

    def forward(self, first: Tensor, interval: Tensor, rate: Tensor) -> Tensor:
        """K (batch, 1) from the cues (batch, N): integers, or real numbers with a gradient in training."""
        cues = (first.detach(), interval.detach(), rate.detach())
        statistics = _integer_statistics(*cues) if self.exact else _statistics(*cues)
        if self.normalise is not None:
            statistics = _normalised(self.normalise, torch.stack(statistics, 1)).unbind(1)
        y = self.mlp(*statistics)
        soft = (1.0 - torch.sigmoid(y)) * self._tokens
        k = self.table(y) if self.exact else self._rounded(soft)
        k, soft = k.unsqueeze(1), soft.unsqueeze(1)
        return exact_ste(k.to(soft.dtype), soft) if soft.requires_grad else k

    @torch.no_grad()
    def fold_(self) -> None:
        """Move the normalisation into the weights and biases of the hidden units."""
        if self.normalise is None:
            return
        moments = self.normalise.state_dict()
        hidden = self.mlp.hidden.linear.layer
        hidden.weight.div_(torch.sqrt(moments["running_var"] + self.normalise.eps))
        hidden.bias.sub_(hidden.weight @ moments["running_mean"])
        self.normalise = None

    def _rounded(self, soft: Tensor) -> Tensor:
        return torch.round(soft.detach()).clamp(self._k_min, self._tokens).long()


def k_table(tokens: int, k_min: int) -> NDArray[np.int64]:
    """K (256,) of each output of the sparsity MLP."""
    rho = 1.0 / (1.0 + np.exp(-(np.arange(_ENTRIES) - (_ENTRIES - 1) / 2) / (1 << _ENTRY_FRAC)))
    return np.clip(np.rint((1.0 - rho) * tokens), k_min, tokens).astype(np.int64)


def _normalised(normalise: nn.BatchNorm1d, statistics: Tensor) -> Tensor:
    """By the batch's moments in training; a single sample, which has none, by the running ones."""
    if len(statistics) > 1 or not normalise.training:
        return normalise(statistics)
    return F.batch_norm(statistics, normalise.running_mean, normalise.running_var, eps=normalise.eps)


def _statistics(first: Tensor, interval: Tensor, rate: Tensor) -> tuple[Tensor, ...]:
    """Eq. 6 in real numbers, each (batch,)."""
    return rate.mean(1), first.std(1, correction=0), interval.mean(1)


def _integer_statistics(first: Tensor, interval: Tensor, rate: Tensor) -> tuple[Tensor, ...]:
    """Eq. 6 on the grid of the cues; squares stay below 2^53, where the root of an integer floors exactly."""
    tokens = first.shape[1]
    scale = 1 << CoreConfig.cue_frac
    f, i, r = ((cue * scale).round().long() for cue in (first, interval, rate))
    variance = tokens * (f * f).sum(1) - f.sum(1) ** 2
    deviation = variance.double().sqrt().floor().long() // tokens
    parts = (r.sum(1) // tokens, deviation, i.sum(1) // tokens)
    mean_rate, std_first, mean_interval = (part.to(first.dtype) / scale for part in parts)
    return mean_rate, std_first, mean_interval
