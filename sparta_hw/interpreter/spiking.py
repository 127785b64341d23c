"""Spiking convolution: sums over a window, then HI-LIF over time (paper Algorithm 1)."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.interpreter.exact import exact_matmul
from sparta_hw.ir import SpikingConv
from sparta_hw.numerics import FixedPoint, floor_shift, saturate

__all__ = ["convolution", "hilif", "spiking_conv"]

IntArray = NDArray[np.int64]

_PATCH_ENTRIES = 1 << 23
_LARGEST_THRESHOLD = FixedPoint(CoreConfig.membrane_bits, 0).max


def spiking_conv(op: SpikingConv, values: IntArray, state: IntArray) -> IntArray:
    """Spikes (n, T, C', H', W') of spikes (n, T, C, H, W) or an image (n, C, H, W).

    ``state`` (n,) is that of the feedback controller. A few samples at a time, to bound the memory.
    """
    each = op.weight[0].size * int(np.prod(op.output.shape)) // op.output.shape[1]
    chunk = max(1, _PATCH_ENTRIES // each)
    parts = [
        _some_samples(op, values[at : at + chunk], state[at : at + chunk])
        for at in range(0, len(values), chunk)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, *op.output.shape), np.int64)


def _some_samples(op: SpikingConv, values: IntArray, state: IntArray) -> IntArray:
    steps = op.output.shape[0]
    frames = values[:, None] if op.direct else values
    sums = convolution(frames.reshape(-1, *frames.shape[2:]), op.weight, op.stride, op.pad)
    drive = saturate(floor_shift(sums + op.bias[:, None, None], op.shift), op.membrane)
    drive = drive.reshape(*frames.shape[:2], *drive.shape[1:])
    if op.direct:
        drive = np.broadcast_to(drive, (len(values), steps, *drive.shape[2:]))
    return hilif(op, drive, _thresholds(op, state))


def _thresholds(op: SpikingConv, state: IntArray) -> IntArray:
    """Thresholds (n, C', 1, 1) after feedback."""
    offset = np.zeros_like(state)
    if op.feedback is not None:
        error = state >> CoreConfig.state_frac
        offset = np.clip(error * op.feedback.gain >> 8, -op.feedback.limit, op.feedback.limit)
    moved = np.clip(op.threshold + offset[:, None], 1, _LARGEST_THRESHOLD)
    return moved[:, :, None, None]


def convolution(frames: IntArray, weight: IntArray, stride: int, pad: int) -> IntArray:
    """Exact sums (m, C', H', W') of frames (m, C, H, W) under windows of weight (C', C, kh, kw)."""
    padded = np.pad(frames.astype(np.int16), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride].transpose(0, 2, 3, 1, 4, 5)
    count, height, width = windows.shape[:3]
    sums = exact_matmul(windows.reshape(count * height * width, -1), weight.reshape(len(weight), -1).T)
    return sums.reshape(count, height, width, -1).transpose(0, 3, 1, 2)


def hilif(op: SpikingConv, drive: IntArray, threshold: IntArray) -> IntArray:
    """Spikes of drive x (n, T, C', H', W'): v' = v + (((x - v) K) >> 8), s = v' >= theta, then reset.

    ``threshold`` is (n, C', 1, 1).
    """
    leak = op.leak[:, None, None]
    spikes = np.empty_like(drive)
    membrane = np.full_like(drive[:, 0], op.v_reset)
    for step in range(drive.shape[1]):
        membrane = membrane + ((drive[:, step] - membrane) * leak >> CoreConfig.tau_bits)
        fired = membrane >= threshold
        spikes[:, step] = fired
        membrane = np.where(fired, membrane - threshold if op.soft_reset else op.v_reset, membrane)
    return spikes
