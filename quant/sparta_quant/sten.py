"""The three parallel branches of STEN, and where a grid token finds its features in them (paper STEN)."""

from dataclasses import replace

import torch
from torch import Tensor

from sparta_hw.errors import ConfigError
from sparta_quant.config import SpartaConfig, StemLayer
from sparta_quant.stem import SpikingConv

__all__ = ["BRANCHES", "branch_layers", "cell_index", "cell_side", "spiking_layers"]

BRANCHES = ("fine", "local", "context")
"""Tensor names of the branches, in the order of a token's features."""


def spiking_layers(config: SpartaConfig) -> dict[str, SpikingConv]:
    """All spiking convolutions by the names of their tensors: the stem's, then the branches'.

    ``fine`` is 1x1 without memory, ``local`` 3x3, ``context`` 1x1 over the sums of ``cells x cells`` equal cells.

    Raises
    ------
    ConfigError
        The grid's cells are not square.
    """
    inputs = (config.input[0], *(layer.channels for layer in config.stem))
    layers = {
        f"stem.{n}": SpikingConv(config, layer, channels, direct=n == 0 and config.coding == "direct")
        for n, (layer, channels) in enumerate(zip(config.stem, inputs, strict=False))
    }
    if config.branches is None:
        return layers
    channels, cell = config.stem[-1].channels, cell_side(config)
    fine, local, context = branch_layers(config).values()
    return layers | {
        "fine": SpikingConv(config, fine, channels, memory=False),
        "local": SpikingConv(config, local, channels),
        "context": SpikingConv(config, replace(context, kernel=1, stride=1), channels, cell=cell),
    }


def branch_layers(config: SpartaConfig) -> dict[str, StemLayer]:
    """Each branch as one convolution: the pooled one has windows of a whole cell, with the same weights all over."""
    branches = config.branches
    assert branches is not None
    cell, reset = cell_side(config), branches.reset
    return {
        "fine": StemLayer(channels=branches.fine, kernel=1, stride=1, pad=0, reset=reset),
        "local": StemLayer(channels=branches.local, kernel=3, stride=1, pad=1, reset=reset),
        "context": StemLayer(channels=branches.context, kernel=cell, stride=cell, pad=0, reset=reset),
    }


def cell_side(config: SpartaConfig) -> int:
    """Rows and columns of the grid that one cell of the context branch has.

    Raises
    ------
    ConfigError
        Cells are not square.
    """
    assert config.branches is not None
    height, width = (side // config.branches.cells for side in config.grid)
    if height != width:
        raise ConfigError(
            f"network {config.name!r}: branches need a square token grid, not {config.grid[0]}x{config.grid[1]}: "
            "its cells are windows with one stride for both axes"
        )
    return height


def cell_index(config: SpartaConfig) -> Tensor:
    """Cell (N_grid,) of each grid token in the context branch, cells row by row."""
    assert config.branches is not None
    side = cell_side(config)
    height, width = config.grid
    rows = torch.arange(height).div(side, rounding_mode="floor")
    columns = torch.arange(width).div(side, rounding_mode="floor")
    return (rows.unsqueeze(1) * config.branches.cells + columns).flatten()
