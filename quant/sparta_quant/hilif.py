"""HI-LIF: heterogeneously initialised leaky integrate-and-fire neurons (paper Algorithm 1)."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import FixedPoint
from sparta_quant.grid import GridPart, floor_ste, round_to
from sparta_quant.integers import HILIFIntegers

__all__ = ["HILIF"]

TAU_MU = 2.0
TAU_SIGMA = 0.3
V_SIGMA = 0.2
"""Deviation of the initial thresholds, as a part of their mean."""


class _Fire(torch.autograd.Function):
    """Heaviside step, 1 at zero; backward is the derivative of ``atan(pi * u) / pi`` (ATan surrogate)."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        return gradient / (1 + (math.pi * u) ** 2)


class HILIF(GridPart[HILIFIntegers]):
    """Neurons with a learned leak and threshold for each channel, drawn from normal priors.

    On the grid ``2**-frac`` of the membrane, for each step t (paper Algorithm 1)::

        v' = v + floor((x_t - v) * K / 2**8)      K = round(sigmoid(w) * 2**8), 1 to 255
        s_t = v' >= theta                         theta >= 1
        v = v_reset if s_t, else v'               hard reset
        v = v' - theta if s_t, else v'            soft reset

    Parameters
    ----------
    channels : int
        C.
    soft : bool
        Reset by subtracting the threshold.
    v_reset : int
        Membrane at the start and after a hard reset, on the grid.
    membrane : FixedPoint
        Format of x, v and theta.
    v_mu : float
        Mean of the initial thresholds.
    """

    tau_inv: Tensor
    v_th: Tensor

    def __init__(self, channels: int, *, soft: bool, v_reset: int, membrane: FixedPoint, v_mu: float) -> None:
        super().__init__()
        self.soft = soft
        self.v_reset = v_reset * membrane.scale
        self.membrane = membrane
        tau = (torch.randn(channels) * TAU_SIGMA + TAU_MU).clamp(min=1.01)
        self.w = nn.Parameter(-torch.log(tau - 1.0))
        self.v_th = nn.Parameter(((torch.randn(channels) * V_SIGMA + 1.0) * v_mu).clamp(min=0.1 * v_mu))

    def _grid(self) -> tuple[Tensor, Tensor]:
        leak = FixedPoint(CoreConfig.tau_bits, CoreConfig.tau_bits, signed=False)
        return round_to(torch.sigmoid(self.w), leak, low=1), round_to(self.v_th, self.membrane, low=1)

    def round(self) -> HILIFIntegers:
        tau_inv, v_th = (value.detach().double().numpy() for value in self._grid())
        return HILIFIntegers(
            (tau_inv * (1 << CoreConfig.tau_bits)).astype(int), (v_th / self.membrane.scale).astype(int)
        )

    def reals(self, integers: HILIFIntegers) -> dict[str, Tensor | None]:
        return {
            "tau_inv": torch.from_numpy(integers.leak).float() * 2.0**-CoreConfig.tau_bits,
            "v_th": torch.from_numpy(integers.threshold).float() * self.membrane.scale,
        }

    def _values(self) -> tuple[Tensor, Tensor]:
        if self.frozen:
            return self.tau_inv, self.v_th
        return self._grid() if self.exact else (torch.sigmoid(self.w), self.v_th)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of the currents ``x`` (T, batch, C, H, W), on the membrane's grid when ``exact``."""
        tau_inv, v_th = (value.view(-1, 1, 1) for value in self._values())
        v = torch.full_like(x[0], self.v_reset)
        spikes = []
        for x_t in x:
            charge = (x_t - v) * tau_inv
            v = v + (floor_ste(charge, self.membrane.frac) if self.exact else charge)
            margin = v - v_th
            s_t = _Fire.apply(margin)
            v = torch.where(margin >= 0, margin if self.soft else self.v_reset, v)
            spikes.append(s_t)
        return torch.stack(spikes)
