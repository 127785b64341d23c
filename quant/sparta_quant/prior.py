"""Learnable normal priors of neuron parameters (paper Algorithm 1, lines 1 to 5)."""

import torch
from torch import Tensor, nn

__all__ = ["NormalPrior"]


class NormalPrior(nn.Module):
    """One value a channel, ``mu + sigma * z_c``, with ``z_c`` drawn from N(0, 1) and then learned.

    With ``sigma`` 0 all channels have the value ``mu``, and keep one common value in training.

    Parameters
    ----------
    channels : int
        C.
    mu, sigma : float
        Mean and deviation at the start.
    learn : bool
        Whether mean and deviation are learned.
    """

    mu: Tensor
    sigma: Tensor
    z: Tensor

    def __init__(self, channels: int, mu: float, sigma: float, *, learn: bool) -> None:
        super().__init__()
        varied = sigma != 0
        self._add("mu", torch.tensor(mu), learned=learn)
        self._add("sigma", torch.tensor(sigma), learned=learn and varied)
        self._add("z", torch.randn(channels) if varied else torch.zeros(channels), learned=varied)

    def _add(self, name: str, value: Tensor, *, learned: bool) -> None:
        if learned:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)

    def forward(self) -> Tensor:
        """Values (C,)."""
        return self.mu + self.sigma * self.z

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep the deviation from changing its sign, which would mirror the channels."""
        self.sigma.clamp_(min=0.0)
