"""Spiking convolution: sums over a window, then HI-LIF over time (paper Algorithm 1)."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.interpreter.exact import exact_matmul
from sparta_hw.ir import SpikingConv
from sparta_hw.numerics import floor_shift, saturate

__all__ = ["convolution", "hilif", "spiking_conv"]

IntArray = NDArray[np.int64]

_PATCH_ENTRIES = 1 << 23


def spiking_conv(op: SpikingConv, spikes: IntArray) -> IntArray:
    """Spikes (n, T, C', H', W') of spikes (n, T, C, H, W), a few samples at a time to bound the memory."""
    each = op.weight[0].size * int(np.prod(op.output.shape)) // op.output.shape[1]
    chunk = max(1, _PATCH_ENTRIES // each)
    parts = [_one_chunk(op, spikes[at : at + chunk]) for at in range(0, len(spikes), chunk)]
    return np.concatenate(parts) if parts else np.zeros((0, *op.output.shape), np.int64)


def _one_chunk(op: SpikingConv, spikes: IntArray) -> IntArray:
    samples, steps = spikes.shape[:2]
    frames = spikes.reshape(samples * steps, *spikes.shape[2:])
    sums = convolution(frames, op.weight, op.stride, op.pad) + op.bias[:, None, None]
    drive = saturate(floor_shift(sums, op.shift), op.membrane)
    return hilif(op, drive.reshape(samples, steps, *drive.shape[1:]))


def convolution(frames: IntArray, weight: IntArray, stride: int, pad: int) -> IntArray:
    """Exact sums (m, C', H', W') of frames (m, C, H, W) under windows of weight (C', C, kh, kw)."""
    padded = np.pad(frames.astype(np.int8), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride].transpose(0, 2, 3, 1, 4, 5)
    count, height, width = windows.shape[:3]
    sums = exact_matmul(windows.reshape(count * height * width, -1), weight.reshape(len(weight), -1).T)
    return sums.reshape(count, height, width, -1).transpose(0, 3, 1, 2)


def hilif(op: SpikingConv, drive: IntArray) -> IntArray:
    """Spikes of drive x (n, T, C', H', W'): v' = v + (((x - v) K) >> 8), s = v' >= theta, then reset."""
    leak, threshold = op.leak[:, None, None], op.threshold[:, None, None]
    spikes = np.empty_like(drive)
    membrane = np.full_like(drive[:, 0], op.v_reset)
    for step in range(drive.shape[1]):
        membrane = membrane + ((drive[:, step] - membrane) * leak >> CoreConfig.tau_bits)
        fired = membrane >= threshold
        spikes[:, step] = fired
        membrane = np.where(fired, membrane - threshold if op.soft_reset else op.v_reset, membrane)
    return spikes
