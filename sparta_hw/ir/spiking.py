"""Operations on spikes over time."""

from dataclasses import dataclass

from sparta_hw.ir.values import IntArray, Kind, Operation, Value
from sparta_hw.numerics import FixedPoint

__all__ = ["SpikeCount", "SpikeCues", "SpikingConv", "ThresholdFeedback"]


@dataclass(frozen=True, kw_only=True)
class ThresholdFeedback:
    """Thresholds move by ``clamp(((state >> 8) * gain) >> 8, -limit, limit)``; gain u8, limit u12."""

    gain: int
    limit: int


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikingConv(Operation):
    """Convolution over space, then HI-LIF over time (paper Algorithm 1).

    Spikes are convolved step by step. An integer image is convolved once, and every step sees the same current
    (direct coding).

    Parameters
    ----------
    input : Value
        Spikes (T, C, H, W), or u8 integers (C, H, W). ``output`` is spikes (T, C', H', W').
    weight : int array (C', C, kernel height, kernel width)
        s8.
    bias : int array (C',)
        On the grid of the sums.
    shift : int
        Right shift from the grid of the sums to ``membrane``.
    stride, pad : int
        The same for both axes.
    leak : int array (C',)
        K = tau_inv * 2^8, 1 to 255.
    threshold : int array (C',)
        theta on the grid of ``membrane``, at least 1.
    soft_reset : bool
        Subtract the threshold instead of setting ``v_reset``.
    v_reset : int
        Membrane at the start and after a hard reset, on the grid of ``membrane``.
    membrane : FixedPoint
        s16.
    feedback : ThresholdFeedback or None
        How the feedback controller moves the thresholds.
    """

    input: Value
    weight: IntArray
    bias: IntArray
    shift: int
    stride: int
    pad: int
    leak: IntArray
    threshold: IntArray
    soft_reset: bool
    v_reset: int
    membrane: FixedPoint
    feedback: ThresholdFeedback | None = None

    @property
    def direct(self) -> bool:
        """Whether the input is an integer image, the same in every step."""
        return self.input.kind is Kind.INTEGERS


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikeCues(Operation):
    """First, interval, burst and rate cue of each position of one scale (paper STEN).

    ``outputs`` are the four values, each (positions,) on grid 2^-3, in the order first, interval, burst, rate;
    ``output`` is the first of them.
    """

    input: Value
    outputs: tuple[Value, Value, Value, Value]


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikeCount(Operation):
    """Spikes of each channel over time: the answer of a network without tokens.

    ``input`` is spikes (T, C, 1, 1), ``output`` (C,) integers on grid 2^0.
    """

    input: Value
