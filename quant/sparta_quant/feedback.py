"""Feedback controller: thresholds follow the average activity of the attention (paper "Feedback Controller")."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sparta_hw.config import CoreConfig
from sparta_hw.errors import ConfigError
from sparta_hw.numerics import FixedPoint
from sparta_quant.config import Feedback
from sparta_quant.grid import GridPart
from sparta_quant.integers import FeedbackIntegers

__all__ = ["FeedbackController"]

_LARGEST_ACTIVITY = (1 << 16) - 1
_OFFSET_SHIFT = 8
_TARGET_BITS = 8
"""Wanted width of the target: what an error of it is worth does not depend on the size of the network."""


class FeedbackController(GridPart[FeedbackIntegers]):
    """Moving average of the attention's summed magnitudes, as its distance from the target; state s26.8::

        offset = clamp(((state >> 8) * gain) >> 8, -limit, limit)             added to every threshold
        a      = min((sum over layers, ranks, features of |attention|) >> activity_shift, 65535)
        state  = state + ((((a - target) << 8) - state) >> rate_shift)

    In training thresholds stay as they are; :meth:`calibrate` sets shift and target afterwards.

    Parameters
    ----------
    law : Feedback
        Gain, limit and rate.
    membrane, value : FixedPoint
        Formats of thresholds and of attention.
    """

    _calibrated: FeedbackIntegers | None

    def __init__(self, law: Feedback, membrane: FixedPoint, value: FixedPoint) -> None:
        super().__init__()
        self._law, self._membrane, self._value = law, membrane, value
        self._calibrated = None

    def offset(self, state: Tensor) -> Tensor:
        """Real offsets (batch,) of the thresholds for the states (batch,)."""
        error = state >> CoreConfig.state_frac
        moved = (error * self._law.gain >> _OFFSET_SHIFT).clamp(-self._law.limit, self._law.limit)
        return moved * self._membrane.scale

    def forward(self, state: Tensor, attention: Sequence[Tensor]) -> Tensor:
        """States (batch,) after the inference with these attention values (batch, K, D), one tensor a layer."""
        integers = self.integers()
        activity = (self._magnitude(attention) >> integers.activity_shift).clamp(max=_LARGEST_ACTIVITY)
        error = (activity - integers.target) << CoreConfig.state_frac
        return state + ((error - state) >> self._law.rate_shift)

    def calibrate(self, attention: Sequence[Tensor]) -> None:
        """Take the mean activity of these attention values, one tensor a layer, as the target."""
        magnitude = self._magnitude(attention)
        mean = int(magnitude.double().mean())
        shift = max(0, mean.bit_length() - _TARGET_BITS)
        activity = (magnitude >> shift).clamp(max=_LARGEST_ACTIVITY)
        self._calibrated = FeedbackIntegers(shift, round(activity.double().mean().item()))
        if self.frozen:
            self.freeze(self._calibrated)

    def _magnitude(self, attention: Sequence[Tensor]) -> Tensor:
        """Sum of the integers' magnitudes (batch,) over all layers, ranks and features."""
        rows = [
            (layer.detach().double() / self._value.scale).round().abs().sum((1, 2)) for layer in attention
        ]
        return torch.stack(rows).sum(0).long()

    def round(self) -> FeedbackIntegers:
        if self._calibrated is None:
            raise ConfigError(
                "the feedback controller has no target yet: call calibrate_feedback with typical inputs "
                "before deploying the network"
            )
        return self._calibrated

    def reals(self, integers: FeedbackIntegers) -> dict[str, Tensor | None]:
        return {}

    def get_extra_state(self) -> dict[str, int] | None:
        """Shift and target, for ``state_dict``."""
        return None if self._calibrated is None else vars(self._calibrated).copy()

    def set_extra_state(self, state: dict[str, int] | None) -> None:
        """What :meth:`get_extra_state` returned."""
        self._calibrated = None if state is None else FeedbackIntegers(**state)
