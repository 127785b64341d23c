"""Priority by which the sparse classifier ranks tokens (paper SC)."""

from torch import Tensor

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import FixedPoint
from sparta_quant.grid import GridModule, floor_ste
from sparta_quant.token_mlp import TokenMLP

__all__ = ["TokenPriority"]

_CUE = FixedPoint(CoreConfig.cue_bits, CoreConfig.cue_frac, signed=False)


class TokenPriority(GridModule):
    """``priority = MLP(first, interval, rate * gain)``: early, dense, enhanced tokens first.

    The gated rate is floored to ``2^-3`` and limited to 2047/8. Before training the priority is
    ``rate * gain - first - interval / 2``.
    """

    def __init__(self) -> None:
        super().__init__()
        pairs = ((1.0, 0.0, 0.0, -1.0), (0.0, 1.0, 0.0, -0.5), (0.0, 0.0, 1.0, 1.0))
        self.mlp = TokenMLP(CoreConfig.cue_frac, CoreConfig.score_frac, pairs)

    def forward(self, first: Tensor, interval: Tensor, rate: Tensor, gain: Tensor) -> Tensor:
        """Priority (batch, N) of cues and gains (batch, N)."""
        gated = rate * gain
        if self.exact:
            gated = floor_ste(gated, _CUE.frac).clamp(max=_CUE.max * _CUE.scale)
        return self.mlp(first, interval, gated)
