"""Spiking convolution: sums over a window, then HI-LIF over time (paper Algorithm 1)."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.interpreter.exact import exact_matmul, weights_of
from sparta_hw.interpreter.frames import by_step, windows
from sparta_hw.ir import SpikingConv
from sparta_hw.numerics import FixedPoint

__all__ = ["convolution", "hilif", "spiking_conv"]

IntArray = NDArray[np.int64]
Currents = NDArray[np.int32]

_BLOCK = 1 << 18
"""Neurons times steps computed at a time: they stay in the processor's caches."""
_LARGEST_THRESHOLD = FixedPoint(CoreConfig.membrane_bits, 0).max


def spiking_conv(op: SpikingConv, values: NDArray[np.integer], state: IntArray) -> NDArray[np.uint8]:
    """Spikes (n, T, C', H', W') of spikes (n, T, C, H, W) or an image (n, C, H, W), 0 to 255.

    ``state`` (n,) is that of the feedback controller.
    """
    steps, outputs, height, width = op.output.shape
    frames = values[:, None] if op.direct else values
    spikes = np.empty((steps, len(values), height, width, outputs), np.uint8)
    samples = max(1, _BLOCK // (outputs * height * width))
    for at in range(0, len(values), samples):
        some = slice(at, at + samples)
        _some_samples(op, by_step(frames[some], op.pad), _thresholds(op, state[some]), spikes[:, some])
    return spikes.transpose(1, 0, 4, 2, 3)


def _some_samples(
    op: SpikingConv, frames: NDArray[np.uint8], threshold: IntArray, spikes: NDArray[np.uint8]
) -> None:
    """Write ``spikes`` (T, n, H', W', C') of padded ``frames`` (T or 1, n, H, W, C)."""
    trains = spikes.reshape(*spikes.shape[:2], -1)
    membrane = np.full(trains.shape[1:], op.v_reset, np.int32)
    steps = max(1, _BLOCK // membrane.size)
    for at in range(0, len(frames), steps):
        some = slice(at, at + steps)
        sums = convolution(op, frames[some].reshape(-1, *frames.shape[2:]))
        drive = currents(op, sums).reshape(-1, *membrane.shape)
        if op.direct:
            drive, some = np.broadcast_to(drive, trains.shape), slice(None)
        hilif(op, drive, threshold, membrane, trains[some])


def convolution(op: SpikingConv, frames: NDArray[np.uint8]) -> NDArray[np.signedinteger]:
    """Exact sums (m, H', W', C') of padded frames (m, H, W, C), 0 to 255, under the windows."""
    patches = windows(frames, op.weight.shape[2:], op.stride)
    sums = exact_matmul(patches.reshape(-1, patches.shape[-1]), weights_of(op), op.input.type.magnitude)
    return sums.reshape(*patches.shape[:3], -1)


def currents(op: SpikingConv, sums: NDArray[np.signedinteger]) -> Currents:
    """Currents on the grid of the membrane; the ``sums`` (..., H', W', C') are overwritten."""
    flat = sums.reshape(len(sums), -1)
    flat += _each_neuron(op.bias, flat)
    if op.shift:
        flat >>= op.shift
    largest = op.input.type.magnitude * weights_of(op).sum + int(np.abs(op.bias).max()) >> op.shift
    if largest > op.membrane.max:
        np.clip(flat, op.membrane.min, op.membrane.max, out=flat)
    return flat.astype(np.int32, copy=False)


def _thresholds(op: SpikingConv, state: IntArray) -> IntArray:
    """Thresholds (n, C') after feedback; (1, C') without."""
    if op.feedback is None:
        return op.threshold[None]
    error = state >> CoreConfig.state_frac
    offset = np.clip(error * op.feedback.gain >> 8, -op.feedback.limit, op.feedback.limit)
    return np.clip(op.threshold + offset[:, None], 1, _LARGEST_THRESHOLD)


def hilif(
    op: SpikingConv, drive: Currents, threshold: IntArray, membrane: Currents, spikes: NDArray[np.uint8]
) -> None:
    """Some steps of HI-LIF: v' = v + (((x - v) K) >> 8), s = v' >= theta, then reset.

    Parameters
    ----------
    drive : int32 array (T, n, H' W' C')
        x.
    threshold : int array (n, C') or (1, C')
        theta.
    membrane : int32 array (n, H' W' C')
        v before the first step, overwritten by that after the last.
    spikes : uint8 array (T, n, H' W' C')
        s, written.
    """
    leak, theta = _each_neuron(op.leak, membrane), _each_neuron(threshold, membrane)
    move = np.empty_like(membrane)
    for x, fired in zip(drive, spikes.view(bool), strict=True):
        np.subtract(x, membrane, out=move)
        move *= leak
        move >>= CoreConfig.tau_bits
        membrane += move
        np.greater_equal(membrane, theta, out=fired)
        fall = theta if op.soft_reset else np.subtract(membrane, op.v_reset, out=move)
        membrane -= np.multiply(fall, fired, out=move)


def _each_neuron(channels: IntArray, neurons: NDArray[np.signedinteger]) -> NDArray[np.signedinteger]:
    """Values (..., C') of the channels for neurons (..., H' W' C'), in their type."""
    positions = neurons.shape[-1] // channels.shape[-1]
    return np.tile(channels.astype(neurons.dtype), positions)
