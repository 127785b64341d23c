"""The spike memory around a unit under test: what it reads, and what it should have written."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.ir import Kind, Value
from sparta_hw.tensor_layout import Memory, TensorLayout

__all__ = ["expect_lines", "packed_lines", "spike_layout", "spike_rows"]


def spike_layout(config: CoreConfig, value: Value, pitch: int, base: int) -> TensorLayout:
    """A tensor from line ``base`` on, ``pitch`` entries from one position to the next."""
    spikes = value.kind is Kind.SPIKES
    steps = value.shape[0] if spikes else value.type.bits
    positions = value.shape[2] * value.shape[3] if spikes else int(np.prod(value.shape[:-1]))
    groups = config.groups(steps)
    return TensorLayout(
        name=value.name,
        memory=Memory.SPIKES,
        shape=value.shape,
        kind=value.kind,
        type=value.type,
        pitch=pitch,
        steps=steps,
        groups=groups,
        base=base,
        lines=-(-positions * pitch // config.line) * groups,
    )


def packed_lines(config: CoreConfig, layout: TensorLayout, values: NDArray[np.integer]) -> list[int]:
    """The lines of a tensor as integers."""
    return [int.from_bytes(words.astype("<u4").tobytes(), "little") for words in layout.pack(values, config)]


def spike_rows(config: CoreConfig, layout: TensorLayout, values: NDArray[np.integer]) -> list[int]:
    """A spike memory from line 0 to the end of one tensor; the lines before it are all ones."""
    return [(1 << config.line * config.steps) - 1] * layout.base + packed_lines(config, layout, values)


def expect_lines(
    config: CoreConfig,
    writes: Iterable[tuple[int, ...]],
    layout: TensorLayout,
    values: NDArray[np.integer],
) -> None:
    """Fail unless the writes (line, data, segments) cover each segment of the tensor once, with its values.

    A tensor may end within its last line, whose other segments are then not written.
    """
    segments = config.segments
    bits = config.fire_lanes * config.steps
    found: dict[tuple[int, int], int] = {}
    for line, row, enable in writes:
        for segment in range(segments):
            if enable >> segment & 1:
                assert (line, segment) not in found, f"line {line}, segment {segment} is written twice"
                found[line, segment] = row >> segment * bits & (1 << bits) - 1
    expected = {
        (layout.base + line, segment): row >> segment * bits & (1 << bits) - 1
        for line, row in enumerate(packed_lines(config, layout, values))
        for segment in range(segments)
        if line // layout.groups * config.line + segment * config.fire_lanes < layout.positions * layout.pitch
    }
    assert found == expected
