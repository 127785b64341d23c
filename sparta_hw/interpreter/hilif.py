"""HI-LIF over time (paper Algorithm 1), compiled: from sums to spikes, a row of neurons while it is in the cache."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.interpreter.compiled import compiled
from sparta_hw.ir import SpikingConv
from sparta_hw.numerics import FixedPoint

__all__ = ["hilif"]

IntArray = NDArray[np.int64]
Sums = NDArray[np.signedinteger]
Membrane = NDArray[np.int32]
Spikes = NDArray[np.uint8]

_MEMBRANE = FixedPoint(CoreConfig.membrane_bits, 0)


def hilif(op: SpikingConv, sums: Sums, offset: IntArray, membrane: Membrane, spikes: Spikes) -> None:
    """Some steps of HI-LIF.

    x = sat((sum + bias) >> shift), v' = v + (((x - v) K) >> 8), s = v' >= clamp(theta + offset), then reset.

    Parameters
    ----------
    sums : int32 or int64 array (T, n, H', W', C'), or (1, n, H', W', C') for the same in every step
        Exact, with room for the bias.
    offset : int array (n,)
        How far feedback moves the thresholds.
    membrane : int32 array (n, H', W', C')
        v before the first step, overwritten by that after the last.
    spikes : uint8 array (T, n, H', W', C')
        s, written.
    """
    neuron = (op.leak, op.threshold, op.soft_reset, op.v_reset)
    numbers = (op.shift, _MEMBRANE.min, _MEMBRANE.max, CoreConfig.tau_bits)
    _over_time(op.bias, *neuron, *numbers, offset, _rows(sums), _rows(membrane), _rows(spikes))


def _rows(values: NDArray) -> NDArray:
    """(..., H', W' C') of (..., H', W', C')."""
    return values.reshape(*values.shape[:-2], -1)


@compiled
def _over_time(
    bias: IntArray,
    leak: IntArray,
    threshold: IntArray,
    soft_reset: bool,
    v_reset: int,
    shift: int,
    lowest: int,
    highest: int,
    tau_bits: int,
    offset: IntArray,
    sums: Sums,
    membrane: Membrane,
    spikes: Spikes,
) -> None:
    """Parameters (C'), rows (..., W' C'). Numbers have the 32 bits that they need: vectors hold more of them."""
    number, int32 = sums.dtype.type, np.int32
    steps, samples, height, width = spikes.shape
    add, pull, theta = np.empty(width, sums.dtype), np.empty(width, int32), np.empty(width, int32)
    add.reshape(-1, len(bias))[:] = bias
    pull.reshape(-1, len(leak))[:] = leak
    for n in range(samples):
        theta.reshape(-1, len(threshold))[:] = np.minimum(np.maximum(threshold + offset[n], 1), highest)
        for row in range(height):
            v = membrane[n, row]
            for t in range(steps):
                total, fired = sums[t if len(sums) > 1 else 0, n, row], spikes[t, n, row]
                for i in range(width):
                    current = np.right_shift(number(total[i] + add[i]), number(shift))
                    x = int32(min(max(current, number(lowest)), number(highest)))
                    move = np.right_shift(int32(int32(x - v[i]) * pull[i]), int32(tau_bits))
                    now = int32(v[i] + move)
                    fired[i] = now >= theta[i]
                    after = int32(now - theta[i]) if soft_reset else int32(v_reset)
                    v[i] = after if fired[i] else now
