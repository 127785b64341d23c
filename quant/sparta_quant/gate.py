"""Token gate: selected tokens are enhanced, the others suppressed (paper STSG, eq. 9)."""

import torch
from torch import Tensor, nn

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import FixedPoint
from sparta_quant.grid import GridPart, floor_quantizer, round_to
from sparta_quant.integers import GateIntegers

__all__ = ["TokenGate"]

_GAIN = FixedPoint(CoreConfig.gain_bits, CoreConfig.gain_frac, signed=False)


class TokenGate(GridPart[GateIntegers]):
    """``token = sat_u8(floor(count * (alpha if selected else beta)))``, count = a neuron's spikes (eq. 9).

    Parameters
    ----------
    token : FixedPoint
        Format of the gated tokens, u8.
    """

    alpha: Tensor
    beta: Tensor

    def __init__(self, token: FixedPoint) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(1.25))
        self.beta = nn.Parameter(torch.tensor(0.5))
        self.to_token = floor_quantizer(token)

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep alpha an enhancement (at least 1) and beta a suppression (at most 1), inside their format."""
        self.alpha.clamp_(1.0, _GAIN.max * _GAIN.scale)
        self.beta.clamp_(0.0, 1.0)

    def round(self) -> GateIntegers:
        alpha, beta = (round(round_to(gain, _GAIN).item() / _GAIN.scale) for gain in (self.alpha, self.beta))
        return GateIntegers(alpha, beta)

    def reals(self, integers: GateIntegers) -> dict[str, Tensor | None]:
        return {
            "alpha": torch.tensor(integers.alpha * _GAIN.scale),
            "beta": torch.tensor(integers.beta * _GAIN.scale),
        }

    def forward(self, spikes: Tensor, index: Tensor) -> Tensor:
        """Tokens (batch, N, D) of spikes (T, batch, D, H, W) and the selected indices (batch, K)."""
        count = spikes.sum(0).flatten(2).transpose(1, 2)
        alpha, beta = self.alpha, self.beta
        if self.exact and not self.frozen:
            alpha, beta = round_to(alpha, _GAIN), round_to(beta, _GAIN)
        selected = torch.zeros(count.shape[:2], dtype=torch.bool).scatter(1, index, True)
        tokens = count * torch.where(selected, alpha, beta).unsqueeze(2)
        return self.to_token(tokens) if self.exact else tokens
