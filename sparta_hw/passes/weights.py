"""Rows of the weight memory: the block of each tile is a header, then one row per window entry."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.ir import Projection, SpikingConv
from sparta_hw.numerics import FixedPoint
from sparta_hw.passes.plan import Tiling

__all__ = ["weight_rows"]

_SILENT_LEAK = 1


def weight_rows(op: SpikingConv | Projection, tiling: Tiling, config: CoreConfig) -> NDArray[np.uint8]:
    """The rows of all tiles of one layer, uint8 (tiles * weight_pitch, P), lane 0 first, ``weight_bits`` of each used.

    Lanes without an output have weight 0, bias 0, theta 32767 and K 1, so they never spike.
    """
    outputs = len(op.weight)
    kernel = op.weight if isinstance(op, SpikingConv) else _as_convolution(op)
    _, channels, height, width = kernel.shape
    used = tiling.out_pitch // tiling.tiles
    lane = np.arange(outputs) // used * config.lanes + np.arange(outputs) % used
    lanes = tiling.tiles * config.lanes
    table = np.zeros((height, width, tiling.in_pitch, lanes), np.int8)
    table[:, :, :channels, lane] = kernel.transpose(2, 3, 1, 0)

    bias = np.zeros(lanes, np.int64)
    theta = np.full(lanes, FixedPoint(config.membrane_bits, 0).max, np.int64)
    leak = np.full(lanes, _SILENT_LEAK, np.int64)
    bias[lane] = op.bias
    if isinstance(op, SpikingConv):
        theta[lane], leak[lane] = op.threshold, op.leak

    mask = (1 << config.weight_bits) - 1
    weights = (table.view(np.uint8).reshape(-1, tiling.tiles, config.lanes) & mask).transpose(1, 0, 2)
    header = _header(bias, theta, leak, config).reshape(-1, tiling.tiles, config.lanes).transpose(1, 0, 2)
    shared = header.reshape(tiling.tiles, -1, config.fire_share, config.fire_lanes).swapaxes(1, 2)
    rows = np.concatenate([shared.reshape(header.shape), weights], axis=1)
    return np.ascontiguousarray(rows).reshape(-1, config.lanes)


def _header(
    bias: NDArray[np.int64], theta: NDArray[np.int64], leak: NDArray[np.int64], config: CoreConfig
) -> NDArray[np.uint8]:
    """``weight_bits`` of bias, theta and K (from the lowest bit on) a row, (header_rows, lanes)."""
    theta_at, leak_at = config.bias_bits, config.bias_bits + config.membrane_bits
    parameters = bias & (1 << theta_at) - 1
    parameters |= (theta & (1 << config.membrane_bits) - 1) << theta_at | leak << leak_at
    shifts = config.weight_bits * np.arange(config.header_rows)[:, None]
    return (parameters >> shifts & (1 << config.weight_bits) - 1).astype(np.uint8)


def _as_convolution(op: Projection) -> NDArray[np.int64]:
    """Weights (outputs, D, inputs, 1): the inputs are the rows of a window."""
    by_input = op.weight.reshape(len(op.weight), len(op.inputs), -1)
    return by_input.transpose(0, 2, 1)[..., None]
