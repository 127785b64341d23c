"""Centre-surround inhibition of token rates on the grid (paper STSG)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import FixedPoint
from sparta_quant.grid import GridPart, floor_ste, round_to

__all__ = ["CentreSurround"]

_INHIBITION = FixedPoint(CoreConfig.inhibition_bits, CoreConfig.inhibition_frac, signed=False)
_SPATIAL = FixedPoint(CoreConfig.score_bits, CoreConfig.cue_frac)


class CentreSurround(GridPart[int]):
    """``spatial[p] = rate[p] - inhibition / 8 * sum of the rates of the up to 8 neighbours of p``.

    On the grid it is floored and saturated to s12.3; ``inhibition`` is learned in 0 to 127/64, u7.6.

    Parameters
    ----------
    grid : tuple of int
        Height and width of the token grid.
    """

    inhibition: Tensor

    def __init__(self, grid: tuple[int, int]) -> None:
        super().__init__()
        self._grid = grid
        self.inhibition = nn.Parameter(torch.tensor(0.5))

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep the inhibition inside its format."""
        self.inhibition.clamp_(0.0, _INHIBITION.max * _INHIBITION.scale)

    def round(self) -> int:
        return round(round_to(self.inhibition, _INHIBITION).item() / _INHIBITION.scale)

    def reals(self, integers: int) -> dict[str, Tensor | None]:
        return {"inhibition": torch.tensor(integers * _INHIBITION.scale)}

    def forward(self, rate: Tensor) -> Tensor:
        """Spatial score (batch, N_grid) of the rates (batch, N_grid)."""
        image = rate.unflatten(1, (1, *self._grid))
        block = F.avg_pool2d(image, 3, stride=1, padding=1, divisor_override=1)
        surround = (block - image).flatten(1) / 8
        if not self.exact:
            return rate - self.inhibition * surround
        inhibition = self.inhibition if self.frozen else round_to(self.inhibition, _INHIBITION)
        spatial = floor_ste(rate - inhibition * surround, _SPATIAL.frac)
        return spatial.clamp(_SPATIAL.min * _SPATIAL.scale, _SPATIAL.max * _SPATIAL.scale)
