"""Records of grid tokens: scores and cues over all scales (paper MSP, eq. 3-5)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import FixedPoint
from sparta_quant.config import SpartaConfig
from sparta_quant.cues import Cues
from sparta_quant.grid import GridModule
from sparta_quant.integers import ScoreIntegers
from sparta_quant.score import TokenScore
from sparta_quant.sten import cell_index

__all__ = ["MSP", "Record", "on_grid"]

_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)


class Record(NamedTuple):
    """Scores and summed cues of tokens, each (batch, tokens)."""

    msp: Tensor
    temporal: Tensor
    first: Tensor
    interval: Tensor
    rate: Tensor


class MSP(GridModule):
    """``msp = sat_s12(sum of the scales' MSP scores)``, the same for temporal; cues are summed (ARCHITECTURE.md).

    The product of eq. 5 over the scales is a sum in the logarithm. Each scale has its own factors. A pooled scale
    gives a grid token the values of its cell.

    Parameters
    ----------
    config : SpartaConfig
        Scales, T and the cues of the score.
    """

    cells: Tensor | None

    def __init__(self, config: SpartaConfig) -> None:
        super().__init__()
        temporal = config.fusion or config.temperature
        self.scales = nn.ModuleList(
            TokenScore(config.timesteps, config.msp_cues, temporal=temporal) for _ in config.scale_channels
        )
        cells = None if config.branches is None else cell_index(config)
        self.register_buffer("cells", cells, persistent=False)

    def forward(self, scales: list[Cues]) -> Record:
        """Records of the grid tokens from the cues of each scale."""
        record: Record | None = None
        for n, (cues, score) in enumerate(zip(scales, self.scales, strict=True)):
            msp, temporal = score(cues)
            parts = Record(msp, temporal, cues.first, cues.interval, cues.rate)
            if n == len(scales) - 1:
                parts = Record(*(on_grid(part, self.cells) for part in parts))
            record = parts if record is None else Record(*(a + b for a, b in zip(record, parts, strict=True)))
        assert record is not None
        if not self.exact:
            return record
        low, high = _SCORE.min * _SCORE.scale, _SCORE.max * _SCORE.scale
        return record._replace(msp=record.msp.clamp(low, high), temporal=record.temporal.clamp(low, high))

    def integers(self) -> tuple[ScoreIntegers, ...]:
        """Tables of each scale."""
        return tuple(score.integers() for score in self._scores())

    def freeze(self, integers: tuple[ScoreIntegers, ...]) -> None:
        """Replace the learned factors by tables."""
        for score, tables in zip(self._scores(), integers, strict=True):
            score.freeze(tables)

    def _scores(self) -> list[TokenScore]:
        return [score for score in self.scales if isinstance(score, TokenScore)]


def on_grid(values: Tensor, cells: Tensor | None) -> Tensor:
    """Values (batch, N_grid, ...) of grid tokens, from those of positions (batch, positions, ...)."""
    return values if cells is None else torch.index_select(values, 1, cells)
