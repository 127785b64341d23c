"""Windows of a LAYER descriptor on its input: which entries, which spike lines, which positions without a spike."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig

__all__ = ["lines_read", "positions", "silent_positions", "window_rows"]

_Fields = Mapping[str, int]


def positions(fields: _Fields, k: int) -> tuple[int, int]:
    """Rows and columns of the output; ``k`` tokens in one row where they are ranked."""
    return (1, k) if fields["ranked"] else (fields["out_height"], fields["out_width"])


def window_rows(fields: _Fields, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First entry, and end, of each row of each window that lies in the input."""
    height, width = positions(fields, k)
    rows = np.arange(height)[:, None] * fields["y_step"] - fields["pad"]
    rows = (rows + np.arange(fields["kernel_height"])).reshape(-1)
    rows = rows[(rows >= 0) & (rows < fields["in_height"])] * fields["row_pitch"]
    low, high = _columns(fields, width)
    inside = low < high
    return (rows[:, None] + low[inside]).reshape(-1), (rows[:, None] + high[inside]).reshape(-1)


def lines_read(config: CoreConfig, fields: _Fields, k: int) -> int:
    """Spike lines that one tile reads."""
    low, high = window_rows(fields, k)
    return int(((high - 1) // config.line - low // config.line + 1).sum()) * fields["groups"]


def silent_positions(fields: _Fields, active: NDArray[np.int64], k: int) -> int:
    """Output positions without an active entry in their window; ``active`` (entries,) counts those of an entry."""
    height, width = positions(fields, k)
    low, high = _columns(fields, width)
    rows = np.arange(fields["in_height"])[:, None] * fields["row_pitch"]
    before = np.concatenate([[0], np.cumsum(active)])
    of_rows = before[rows + high] - before[rows + low]
    above = np.concatenate([np.zeros((1, width), np.int64), np.cumsum(of_rows, axis=0)])
    top = np.arange(height) * fields["y_step"] - fields["pad"]
    first, end = (np.clip(row, 0, fields["in_height"]) for row in (top, top + fields["kernel_height"]))
    return int((above[end] == above[first]).sum())


def _columns(fields: _Fields, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First entry, and end, of each window in a row of the input; none where they are equal."""
    columns = np.arange(width) * fields["x_step"] - fields["x_start"]
    low = np.clip(columns, 0, fields["row_pitch"])
    return low, np.clip(columns + fields["run"], low, fields["row_pitch"])
