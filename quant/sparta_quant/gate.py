"""Token gate: selected tokens are enhanced, the others suppressed (paper STSG, eq. 9)."""

import torch
from torch import Tensor, nn

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import FixedPoint
from sparta_quant.grid import GridModule, GridPart, floor_quantizer, floor_ste, round_to
from sparta_quant.integers import GateIntegers

__all__ = ["TokenGain", "TokenGate"]

_GAIN = FixedPoint(CoreConfig.gain_bits, CoreConfig.gain_frac, signed=False)


class TokenGain(GridPart[GateIntegers]):
    """``gain = alpha if selected else beta``, times the token's timing factor if there is one (eq. 9, STEN).

    The product is floored to ``2^-6`` and limited to 255/64.
    """

    alpha: Tensor
    beta: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(1.25))
        self.beta = nn.Parameter(torch.tensor(0.5))

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

    def forward(self, mask: Tensor, timing: Tensor | None) -> Tensor:
        """Gains (batch, N) of the selection mask (batch, N) and the timing factors (batch, N)."""
        alpha, beta = self.alpha, self.beta
        if self.exact and not self.frozen:
            alpha, beta = round_to(alpha, _GAIN), round_to(beta, _GAIN)
        gain = beta + mask * (alpha - beta)
        if timing is None:
            return gain
        gain = gain * timing
        return floor_ste(gain, _GAIN.frac).clamp(max=_GAIN.max * _GAIN.scale) if self.exact else gain


class TokenGate(GridModule):
    """``token = min(floor(count * gain), limit)``, count = spikes of a neuron in its T steps (eq. 9).

    Parameters
    ----------
    token : FixedPoint
        Format of the gated tokens; its largest value is the limit.
    """

    def __init__(self, token: FixedPoint) -> None:
        super().__init__()
        self.to_token = floor_quantizer(token)

    def forward(self, count: Tensor, gain: Tensor) -> Tensor:
        """Tokens (batch, N, D) of spike counts (batch, N, D) and gains (batch, N)."""
        tokens = count * gain.unsqueeze(2)
        return self.to_token(tokens) if self.exact else tokens
