"""Scores of one scale from its temporal cues (paper MSP, eq. 3-5), in the base-2 logarithm."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import FixedPoint
from sparta_quant.config import CUES
from sparta_quant.cues import Cues
from sparta_quant.grid import GridPart, exact_ste
from sparta_quant.integers import ScoreIntegers

__all__ = ["TokenScore"]

_ENTRY = FixedPoint(CoreConfig.table_bits, CoreConfig.score_frac)
_LOG2E = math.log2(math.e)
_MSP_FACTORS = {"first": 0.2, "interval": 0.1, "burst": 0.1, "rate": 0.5}
_TEMPORAL_FACTORS = {"first": 1.0, "interval": 0.5, "burst": 0.2}


class TokenScore(GridPart[ScoreIntegers]):
    """``log2 w_combined`` of paper eq. 5, with burst as a fourth cue, and a temporal priority beside it::

        msp      = log2(e) (-alpha first - beta interval + delta burst) + log2 sigmoid(gamma rate)
        temporal = log2(e) (-alpha' first - beta' interval + delta' burst)

    On the grid each term is a table over the cue's values, rounded once and saturated to s11.4. The factors are
    learned and stay non-negative: early, dense, bursting tokens rank first. A cue that is left out has a table
    of zeros and no factor.

    Parameters
    ----------
    steps : int
        T; tables have ``T * 8 + 1`` entries.
    cues : tuple of str
        Cues of the MSP score (paper Table 4).
    temporal : bool
        Whether the temporal score is used; False: it is zero.
    """

    tables: Tensor

    def __init__(self, steps: int, cues: tuple[str, ...] = CUES, *, temporal: bool = True) -> None:
        super().__init__()
        self._steps = steps
        self._names = (
            {cue: f"msp_{cue}" for cue in _MSP_FACTORS if cue in cues},
            {cue: f"temporal_{cue}" for cue in _TEMPORAL_FACTORS if temporal},
        )
        for names, factors in zip(self._names, (_MSP_FACTORS, _TEMPORAL_FACTORS), strict=True):
            for cue, name in names.items():
                self.register_parameter(name, nn.Parameter(torch.tensor(factors[cue])))

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep the learned factors non-negative."""
        for factor in self.parameters(recurse=False):
            factor.clamp_(min=0.0)

    def _terms(self, names: dict[str, str], cues: Cues) -> list[Tensor]:
        """The terms of one score, in the order of the tables."""
        meaning = {
            "first": lambda factor: -_LOG2E * factor * cues.first,
            "interval": lambda factor: -_LOG2E * factor * cues.interval,
            "burst": lambda factor: _LOG2E * factor * cues.burst,
            "rate": lambda factor: _LOG2E * F.logsigmoid(factor * cues.rate),
        }
        return [
            meaning[cue](getattr(self, names[cue])) if cue in names else torch.zeros_like(cues.first)
            for cue in CUES
        ]

    def _tables(self) -> Tensor:
        """Real values (2, 4, T * 8 + 1) on the grid."""
        reference = next(self.parameters(), torch.zeros(()))
        grid = (
            torch.arange((self._steps << CoreConfig.cue_frac) + 1).to(reference) * 2.0**-CoreConfig.cue_frac
        )
        cues = Cues(grid, grid, grid, grid)
        terms = torch.stack([torch.stack(self._terms(names, cues)) for names in self._names]).detach()
        return torch.round(terms / _ENTRY.scale).clamp(_ENTRY.min, _ENTRY.max) * _ENTRY.scale

    def round(self) -> ScoreIntegers:
        msp, temporal = (self._tables().double().numpy() / _ENTRY.scale).astype(np.int64)
        return ScoreIntegers(msp, temporal)

    def reals(self, integers: ScoreIntegers) -> dict[str, Tensor | None]:
        tables = np.stack([integers.msp, integers.temporal])
        return {"tables": torch.from_numpy(tables).float() * _ENTRY.scale}

    def forward(self, cues: Cues) -> tuple[Tensor, Tensor]:
        """MSP and temporal score, each (batch, positions), of the cues."""
        if self.frozen:
            msp, temporal = (_looked_up(table, cues) for table in self.tables)
            return msp, temporal
        soft = [sum(self._terms(names, cues), torch.zeros(())) for names in self._names]
        if self.exact:
            exact = [_looked_up(table, cues) for table in self._tables()]
            soft = [exact_ste(value, real) for value, real in zip(exact, soft, strict=True)]
        return soft[0], soft[1]


def _looked_up(tables: Tensor, cues: Cues) -> Tensor:
    """Sum of one entry of each of the tables (4, T * 8 + 1)."""
    entries = [
        table[(cue.detach() * (1 << CoreConfig.cue_frac)).long()]
        for table, cue in zip(tables, cues, strict=True)
    ]
    return torch.stack(entries).sum(0)
