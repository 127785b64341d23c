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
    """The rows of all tiles of one layer, uint8 (tiles * weight_pitch, P), lane 0 first.

    Header rows are bias bits 7..0, 15..8, 23..16, theta bits 7..0, 15..8, and K. Lanes without an output have
    weight 0, bias 0, theta 32767 and K 1, so they never spike.
    """
    outputs = len(op.weight)
    kernel = op.weight if isinstance(op, SpikingConv) else _as_convolution(op)
    _, channels, height, width = kernel.shape
    table = np.zeros((height, width, tiling.in_pitch, tiling.out_pitch), np.int8)
    table[:, :, :channels, :outputs] = kernel.transpose(2, 3, 1, 0)

    bias = np.zeros(tiling.out_pitch, np.int64)
    theta = np.full(tiling.out_pitch, FixedPoint(config.membrane_bits, 0).max, np.int64)
    leak = np.full(tiling.out_pitch, _SILENT_LEAK, np.int64)
    bias[:outputs] = op.bias
    if isinstance(op, SpikingConv):
        theta[:outputs], leak[:outputs] = op.threshold, op.leak
    header = np.stack([bias, bias >> 8, bias >> 16, theta, theta >> 8, leak]) & 0xFF

    rows = np.concatenate([header.astype(np.uint8), table.view(np.uint8).reshape(-1, tiling.out_pitch)])
    by_tile = rows.reshape(len(rows), tiling.tiles, config.lanes).transpose(1, 0, 2)
    return np.ascontiguousarray(by_tile).reshape(-1, config.lanes)


def _as_convolution(op: Projection) -> NDArray[np.int64]:
    """Weights (outputs, D, inputs, 1): the inputs are the rows of a window."""
    by_input = op.weight.reshape(len(op.weight), len(op.inputs), -1)
    return by_input.transpose(0, 2, 1)[..., None]
