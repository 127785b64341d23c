"""Spiking convolution: sums over a window, then HI-LIF over time (paper Algorithm 1)."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.interpreter.exact import exact_matmul, weights_of
from sparta_hw.interpreter.frames import by_step, windows
from sparta_hw.interpreter.hilif import hilif
from sparta_hw.ir import SpikingConv

__all__ = ["convolution", "spiking_conv"]

IntArray = NDArray[np.int64]

_BLOCK = 1 << 20
"""Bytes of windows and sums computed at a time: they stay in the processor's caches."""


def spiking_conv(op: SpikingConv, values: NDArray[np.integer], state: IntArray) -> NDArray[np.uint8]:
    """Spikes (n, T, C', H', W') of spikes (n, T, C, H, W) or an image (n, C, H, W), 0 to 255.

    ``state`` (n,) is that of the feedback controller.
    """
    steps, outputs, height, width = op.output.shape
    frames = values[:, None] if op.direct else values
    offset = _threshold_offset(op, state)
    spikes = np.empty((steps, len(values), height, width, outputs), np.uint8)
    samples = max(1, _BLOCK // _step_bytes(op))
    for at in range(0, len(values), samples):
        some = slice(at, at + samples)
        _some_samples(op, by_step(frames[some], op.pad), offset[some], spikes[:, some])
    return spikes.transpose(1, 0, 4, 2, 3)


def _step_bytes(op: SpikingConv) -> int:
    """Bytes of the windows, and of the sums, of one step of a sample."""
    outputs, height, width = op.output.shape[1:]
    return height * width * (op.weight[0].size + outputs * np.dtype(np.int32).itemsize)


def _some_samples(
    op: SpikingConv, frames: NDArray[np.uint8], offset: IntArray, spikes: NDArray[np.uint8]
) -> None:
    """Write ``spikes`` (T, n, H', W', C') of padded ``frames`` (T or 1, n, H, W, C)."""
    membrane = np.full(spikes.shape[1:], op.v_reset, np.int32)
    steps = max(1, _BLOCK // (_step_bytes(op) * len(membrane)))
    for at in range(0, len(frames), steps):
        some = slice(at, at + steps)
        sums = convolution(op, frames[some].reshape(-1, *frames.shape[2:]))
        hilif(op, sums.reshape(-1, *membrane.shape), offset, membrane, spikes if op.direct else spikes[some])


def convolution(op: SpikingConv, frames: NDArray[np.uint8]) -> NDArray[np.signedinteger]:
    """Exact sums (m, H', W', C') of padded frames (m, H, W, C), 0 to 255, under the windows."""
    patches = windows(frames, op.weight.shape[2:], op.stride)
    sums = exact_matmul(patches.reshape(-1, patches.shape[-1]), weights_of(op), op.input.type.magnitude)
    return sums.reshape(*patches.shape[:3], -1)


def _threshold_offset(op: SpikingConv, state: IntArray) -> IntArray:
    """How far feedback moves the thresholds of each sample (n,)."""
    if op.feedback is None:
        return np.zeros(len(state), np.int64)
    error = state >> CoreConfig.state_frac
    return np.clip(error * op.feedback.gain >> 8, -op.feedback.limit, op.feedback.limit)
