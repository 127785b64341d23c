"""HI-LIF: heterogeneously initialised leaky integrate-and-fire neurons (paper Algorithm 1)."""

import torch
from torch import Tensor

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import FixedPoint
from sparta_quant.grid import GridPart, round_to
from sparta_quant.integers import HILIFIntegers
from sparta_quant.lif_over_time import lif_over_time
from sparta_quant.prior import NormalPrior

__all__ = ["HILIF"]

_SMALLEST_TAU = 1.01
_SMALLEST_THRESHOLD = 0.1
"""As a part of the mean threshold at the start."""
_LEAK = FixedPoint(CoreConfig.tau_bits, CoreConfig.tau_bits, signed=False)


class HILIF(GridPart[HILIFIntegers]):
    """Neurons with a leak and a threshold for each channel from learnable normal priors.

    In real numbers, for each step t (paper Algorithm 1)::

        tau_c = max(mu_tau + sigma_tau z_c, 1.01)    w_c = -log(tau_c - 1)    v_th,c = mu_v + sigma_v z'_c
        v' = v + (x_t - v) * sigmoid(w)
        s_t = v' >= v_th
        v = v_reset if s_t, else v'                  hard reset
        v = v' - v_th if s_t, else v'                soft reset

    On the grid ``2**-frac`` of the membrane, ``(x_t - v) * K / 2**8`` is floored, with ``K = round(sigmoid(w) *
    2**8)``, 1 to 255, and the threshold is rounded to at least one step of the grid. Thresholds stay above a tenth
    of their mean at the start.

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
    tau_mu, tau_sigma, v_mu, v_sigma : float
        Priors of time constants and thresholds (paper Table 2); ``v_sigma`` as a part of ``v_mu``.
    learn_priors : bool
        Whether means and deviations are learned.
    memory : bool
        False: K is 255, the fastest leak, and no time constant is learned.
    """

    tau_inv: Tensor
    v_th: Tensor
    scale: Tensor

    def __init__(
        self,
        channels: int,
        *,
        soft: bool,
        v_reset: int,
        membrane: FixedPoint,
        tau_mu: float = 2.0,
        tau_sigma: float = 0.3,
        v_mu: float = 1.0,
        v_sigma: float = 0.2,
        learn_priors: bool = True,
        memory: bool = True,
    ) -> None:
        super().__init__()
        self.soft = soft
        self.v_reset = v_reset * membrane.scale
        self.membrane = membrane
        self.channels = channels
        self._smallest = _SMALLEST_THRESHOLD * v_mu
        self.tau = NormalPrior(channels, tau_mu, tau_sigma, learn=learn_priors) if memory else None
        self.threshold: NormalPrior | None = NormalPrior(channels, v_mu, v_sigma * v_mu, learn=learn_priors)
        self.register_buffer("scale", torch.ones(channels))

    @torch.no_grad()
    def rescale_(self, factor: Tensor) -> None:
        """Multiply the thresholds by ``factor`` (C,); their prior stays."""
        self.scale.mul_(factor)

    def clamp_(self) -> None:
        for prior in (self.tau, self.threshold):
            if prior is not None:
                prior.clamp_()

    def values(self) -> tuple[Tensor, Tensor]:
        """``tau_inv`` and ``v_th`` (C,) that the forward uses, on their grids when ``exact``."""
        if self.frozen:
            return self.tau_inv, self.v_th
        if self.tau is None:
            tau_inv = torch.full_like(self.scale, _LEAK.max * _LEAK.scale)
        else:
            # sigmoid(-log(tau - 1)) of Algorithm 1.
            tau_inv = torch.sigmoid(-torch.log(self.tau().clamp(min=_SMALLEST_TAU) - 1.0))
        assert self.threshold is not None
        v_th = self.threshold().clamp(min=self._smallest) * self.scale
        if not self.exact:
            return tau_inv, v_th
        return round_to(tau_inv, _LEAK, low=1), round_to(v_th, self.membrane, low=1)

    def round(self) -> HILIFIntegers:
        before, self.exact = self.exact, True
        tau_inv, v_th = (value.detach().double().numpy() for value in self.values())
        self.exact = before
        return HILIFIntegers((tau_inv / _LEAK.scale).astype(int), (v_th / self.membrane.scale).astype(int))

    def reals(self, integers: HILIFIntegers) -> dict[str, Tensor | None]:
        return {
            "tau_inv": torch.from_numpy(integers.leak).float() * _LEAK.scale,
            "v_th": torch.from_numpy(integers.threshold).float() * self.membrane.scale,
        }

    def freeze(self, integers: HILIFIntegers) -> None:
        super().freeze(integers)
        self.tau = self.threshold = None

    def forward(self, x: Tensor, offset: Tensor | None = None) -> Tensor:
        """Spikes of the currents ``x`` (T, batch, C, H, W), on the membrane's grid when ``exact``.

        ``offset`` (batch,) moves the thresholds of each sample, on the membrane's grid (feedback controller).
        """
        tau_inv, v_th = (value.view(-1, 1, 1) for value in self.values())
        if offset is not None:
            grid = self.membrane.scale
            v_th = (v_th + offset.view(-1, 1, 1, 1)).clamp(grid, self.membrane.max * grid)
        frac = self.membrane.frac if self.exact else None
        return lif_over_time(x, tau_inv, v_th, v_reset=self.v_reset, soft=self.soft, frac=frac)
