"""Learned curves over a token's score, as tables: STEN's timing-aware attention and the attention's temperature."""

from abc import abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import FixedPoint
from sparta_quant.grid import GridPart, exact_ste

__all__ = ["ScoreCurve", "TemperatureCurve", "TimingCurve"]

_ENTRY = FixedPoint(CoreConfig.gain_bits, CoreConfig.gain_frac, signed=False)
_ENTRIES = 128
_BUCKET_BITS = CoreConfig.score_bits - 7
_BUCKET = 2.0 ** (_BUCKET_BITS - CoreConfig.score_frac)
"""Width of a bucket in real scores."""


class ScoreCurve(GridPart[NDArray[np.int64]]):
    """A rising curve of a score: real in float training, else a table ``round(curve(centre) * 2^6)``, u8.6.

    Entry n holds for scores from ``(n - 64) 2^5`` to ``(n - 63) 2^5 - 1`` on the grid ``2^-4``; its centre is the
    middle of these.

    Parameters
    ----------
    slope : float
        Steepness at the start; learned, at least 0.
    offset : float
        Score of the curve's middle at the start; learned.
    """

    table: Tensor

    def __init__(self, slope: float, offset: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))
        self.offset = nn.Parameter(torch.tensor(offset))

    @abstractmethod
    def curve(self, score: Tensor) -> Tensor:
        """Real value of the curve."""

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep the curve rising."""
        self.slope.clamp_(min=0.0)

    def _table(self) -> Tensor:
        centre = (torch.arange(_ENTRIES).to(self.slope) - _ENTRIES // 2 + 0.5) * _BUCKET
        return torch.round(self.curve(centre).detach() / _ENTRY.scale).clamp(0, _ENTRY.max) * _ENTRY.scale

    def round(self) -> NDArray[np.int64]:
        return (self._table().double().numpy() / _ENTRY.scale).astype(np.int64)

    def reals(self, integers: NDArray[np.int64]) -> dict[str, Tensor | None]:
        return {"table": torch.from_numpy(integers).float() * _ENTRY.scale}

    def forward(self, score: Tensor) -> Tensor:
        """Values of the curve at ``score``, of its shape."""
        if not self.exact:
            return self.curve(score)
        table = self.table if self.frozen else self._table()
        value = table[(torch.floor(score.detach() / _BUCKET) + _ENTRIES // 2).long()]
        return value if self.frozen else exact_ste(value, self.curve(score))


class TimingCurve(ScoreCurve):
    """``2 sigmoid(slope (msp - offset))``: factor on a token's gain, higher for rich temporal activity (STEN)."""

    def curve(self, score: Tensor) -> Tensor:
        return 2.0 * torch.sigmoid(self.slope * (score - self.offset))


class TemperatureCurve(ScoreCurve):
    """``2^(2 sigmoid(slope (temporal - offset)) - 1)``: sharpness of a query, 1/2 to 2 (paper sparse attention)."""

    def curve(self, score: Tensor) -> Tensor:
        return torch.exp2(2.0 * torch.sigmoid(self.slope * (score - self.offset)) - 1.0)
