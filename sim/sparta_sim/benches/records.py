"""Random records, token MLPs and tables around the score and rank units, as the host writes them."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.ir import TokenMLP, Value
from sparta_hw.numerics import FixedPoint
from sparta_rtl.layouts import record_layout
from sparta_sim.benches.streams import bits_of

__all__ = ["RECORD_FIELDS", "any_value", "mlp_rows", "random_mlp", "random_records", "record_rows"]

IntArray = NDArray[np.int64]

RECORD_FIELDS = ("msp", "temporal", "first", "interval", "rate")


def any_value(name: str, count: int) -> Value:
    """A value that only stands for its name."""
    return Value(name, (count,), FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac))


def random_mlp(rng: np.random.Generator) -> TokenMLP:
    """Weights over all of their ranges, and shifts with which outputs are spread."""
    units = CoreConfig.hidden_units
    bias = 1 << int(rng.integers(1, CoreConfig.mlp_bias_bits))
    return TokenMLP(
        hidden_weight=rng.integers(-128, 128, (units, 3)),
        hidden_bias=rng.integers(-bias, bias, units),
        hidden_shift=int(rng.integers(0, 12)),
        weight=rng.integers(-128, 128, units),
        bias=int(rng.integers(-bias, bias)),
        shift=int(rng.integers(0, 12)),
    )


def mlp_rows(mlp: TokenMLP) -> list[int]:
    """The eight rows of one set in the MLP memory."""
    rows = np.zeros((CoreConfig.hidden_units, 8), np.uint8)
    rows[:, :3] = mlp.hidden_weight & 255
    rows[:, 3] = mlp.weight & 255
    for byte in range(3):
        rows[:, 4 + byte] = mlp.hidden_bias >> 8 * byte & 255
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def random_records(rng: np.random.Generator, tokens: int, high: int) -> dict[str, IntArray]:
    """Scores and cues (tokens,) from 0, or from below it, to ``high``."""
    return {
        name: rng.integers(-high - 1 if name in RECORD_FIELDS[:2] else 0, high + 1, tokens)
        for name in RECORD_FIELDS
    }


def record_rows(
    config: CoreConfig, records: dict[str, IntArray], width: int, cell: IntArray | None = None
) -> list[int]:
    """Rows of the record memory of a grid with ``width`` columns; each token is its own cell without ``cell``."""
    tokens = len(records["msp"])
    place = np.arange(tokens)
    columns = {
        **records,
        "cell": place if cell is None else cell,
        "top": place < width,
        "bottom": place >= tokens - width,
        "left": place % width == 0,
        "right": place % width == width - 1,
    }
    layout = record_layout(config)
    return [
        bits_of(layout, {name: int(column[p]) for name, column in columns.items()}) for p in range(tokens)
    ]
