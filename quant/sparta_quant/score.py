"""Token score from temporal cues (paper MSP, eq. 3-5), in the base-2 logarithm."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import FixedPoint
from sparta_quant.cues import Cues
from sparta_quant.grid import GridPart, exact_ste
from sparta_quant.integers import ScoreIntegers

__all__ = ["TokenScore"]

_ENTRY = FixedPoint(CoreConfig.score_bits - 2, CoreConfig.score_frac)
"""Range of one table entry: the sum of four stays inside the format of the score."""


class TokenScore(GridPart[ScoreIntegers]):
    """``log2 w_combined`` of paper eq. 5, with burst as a fourth cue::

        score = log2(e) * (-alpha * first - beta * interval + delta * burst) + log2 sigmoid(gamma * rate)

    On the grid each term is a table over the cue's values, rounded once. alpha, beta, gamma and delta are
    learned through the attention mask and stay non-negative: early, dense, bursting tokens rank first.

    Parameters
    ----------
    steps : int
        T; tables have ``T * 8 + 1`` entries.
    """

    tables: Tensor

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps
        self.alpha = nn.Parameter(torch.tensor(0.2))
        self.beta = nn.Parameter(torch.tensor(0.1))
        self.gamma = nn.Parameter(torch.tensor(0.5))
        self.delta = nn.Parameter(torch.tensor(0.1))

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep the learned factors non-negative."""
        for factor in (self.alpha, self.beta, self.gamma, self.delta):
            factor.clamp_(min=0.0)

    def _terms(self, cues: Cues) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        log2e = math.log2(math.e)
        return (
            -log2e * self.alpha * cues.first,
            -log2e * self.beta * cues.interval,
            log2e * self.delta * cues.burst,
            log2e * F.logsigmoid(self.gamma * cues.rate),
        )

    def _tables(self) -> Tensor:
        grid = torch.arange((self._steps << CoreConfig.cue_frac) + 1) * 2.0**-CoreConfig.cue_frac
        terms = torch.stack(self._terms(Cues(grid, grid, grid, grid))).detach()
        return torch.round(terms / _ENTRY.scale).clamp(_ENTRY.min, _ENTRY.max) * _ENTRY.scale

    def round(self) -> ScoreIntegers:
        return ScoreIntegers((self._tables().double().numpy() / _ENTRY.scale).astype(np.int64))

    def reals(self, integers: ScoreIntegers) -> dict[str, Tensor | None]:
        return {"tables": torch.from_numpy(integers.tables).float() * _ENTRY.scale}

    def forward(self, cues: Cues) -> Tensor:
        """Score (batch, N) of the cues."""
        if not self.exact:
            return sum(self._terms(cues), torch.zeros(()))
        tables = self.tables if self.frozen else self._tables()
        looked_up = sum(
            (
                table[(cue.detach() * (1 << CoreConfig.cue_frac)).long()]
                for table, cue in zip(tables, cues, strict=True)
            ),
            torch.zeros((), dtype=tables.dtype),
        )
        return looked_up if self.frozen else exact_ste(looked_up, sum(self._terms(cues), torch.zeros(())))
