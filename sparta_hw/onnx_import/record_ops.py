"""Records of grid tokens and the tokens made of them: SpikeCues -> MSP -> Add, Clip -> PatchGroup -> GatherElements."""

import numpy as np

from sparta_hw.config import CoreConfig
from sparta_hw.ir import CentreSurround, CueScale, Kind, PatchGroup, SpikeCues, SpikingConv, Value
from sparta_hw.numerics import FixedPoint, unsigned_bits
from sparta_hw.onnx_import.record import FIELDS, SCORES
from sparta_hw.onnx_import.scope import IntArray, NodeView, Scope
from sparta_hw.onnx_import.symbols import Grouped, RecordPart, Result, Symbol
from sparta_hw.onnx_import.token_inputs import grid_value, group_input

__all__ = [
    "add_records",
    "cell_problems",
    "cells_input",
    "centre_surround",
    "clip",
    "gather_elements",
    "msp",
    "patch_group",
    "spike_cues",
]

_CUES = ("first", "interval", "burst", "rate")
_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)
_TABLE = FixedPoint(CoreConfig.table_bits, CoreConfig.score_frac)


def spike_cues(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::SpikeCues`` with its four results."""
    node.only_attributes("frac")
    node.fixed_attribute("frac", None, CoreConfig.cue_frac, "the cue unit has that grid")
    spikes = node.result(0, SpikingConv)
    node.require(len(node.outputs) == len(_CUES), f"{len(node.outputs)} results, not {len(_CUES)}")
    node.settle()
    steps, _, height, width = spikes.shape
    number = FixedPoint(unsigned_bits(steps << CoreConfig.cue_frac), CoreConfig.cue_frac, signed=False)
    first, interval, burst, rate = (Value(name, (height * width,), number) for name in node.outputs)
    cues = (first, interval, burst, rate)
    node.scope.operations.append(SpikeCues(node=node.name, output=first, input=spikes, outputs=cues))
    return tuple(Result(cue) for cue in cues)


def msp(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::MSP`` of the cues of one scale; its results are parts of the record."""
    node.only_attributes("frac")
    node.fixed_attribute("frac", None, CoreConfig.cue_frac, "it must be the grid of the cues")
    tables = [_tables(node, 4, "msp_tables"), _tables(node, 5, "temporal_tables")]
    inputs = [node.result(position, SpikeCues) for position in range(4)]
    op = next((op for op in node.scope.all(SpikeCues) if list(op.outputs) == inputs), None)
    if op is None:
        raise node.refuse(f"its first inputs must be the cues of one scale in the order {', '.join(_CUES)}")
    entries = (op.input.shape[0] << CoreConfig.cue_frac) + 1
    for name, table in zip(("msp_tables", "temporal_tables"), tables, strict=True):
        shape = list(table.shape)
        node.require(
            shape == [len(_CUES), entries],
            f"{name} has shape {shape}, [{len(_CUES)}, {entries}] is needed (T * 8 + 1 entries a cue)",
        )
    cells = cells_input(node, 6, op.outputs[0].shape[0])
    node.require(len(node.outputs) == len(FIELDS), f"{len(node.outputs)} results, not {len(FIELDS)}")
    node.settle()
    scale = CueScale(cues=op.outputs, msp_tables=tables[0], temporal_tables=tables[1], cells=cells)
    return tuple(RecordPart(node.name, field, (scale,)) for field in FIELDS)


def _tables(node: NodeView, position: int, name: str) -> IntArray:
    table = node.on_grid(node.constant(position, name), _TABLE.frac, name)
    what = f"an entry of {name} on grid 2^-{_TABLE.frac}"
    node.in_range(table, _TABLE.min, _TABLE.max, what, "limit the table in training")
    return table


def cells_input(node: NodeView, position: int, positions: int) -> IntArray | None:
    """Position of each grid token in a scale of so many positions; None: each at its own."""
    cells = node.constant(position, "cells")
    shape = (cells.size,)
    cells = node.integers(position, "cells", shape)
    node.in_range(cells, 0, positions - 1, "a cell", f"the scale has {positions} positions")
    return None if np.array_equal(cells, np.arange(positions)) else cells


def add_records(node: NodeView, left: RecordPart, right: RecordPart) -> tuple[Symbol, ...]:
    """``Add`` of a field of the record of different scales."""
    node.require(
        left.field == right.field, f"adds {left.field} to {right.field}; add the same results of each MSP"
    )
    node.require(
        not (left.clipped or right.clipped), "adds clipped scores; Clip the sum over all scales instead"
    )
    node.require(not set(left.scales) & set(right.scales), "adds a scale twice")
    sizes = [_tokens(part.scales[0]) for part in (left, right)]
    node.require(
        sizes[0] == sizes[1],
        f"adds {sizes[0]} to {sizes[1]} grid tokens; cells must have one entry a grid token",
    )
    node.settle()
    return (RecordPart(left.node, left.field, (*left.scales, *right.scales)),)


def _tokens(scale: CueScale) -> int:
    return scale.cues[0].shape[0] if scale.cells is None else len(scale.cells)


def clip(node: NodeView) -> tuple[Symbol, ...]:
    """``Clip`` of the scores to s12.4."""
    node.only_attributes()
    part = node.read(0, RecordPart, "msp or temporal, summed over the scales")
    node.require(part.field in SCORES, f"clips {part.field}, which is a sum of cues; remove it")
    for position, name, limit in ((1, "the lower bound", _SCORE.min), (2, "the upper bound", _SCORE.max)):
        value = node.scalar(position, name)
        expected = limit * _SCORE.scale
        node.require(value == expected, f"{name} is {value}, the score unit has {expected}")
    node.settle()
    return (RecordPart(part.node, part.field, part.scales, clipped=True),)


def patch_group(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::PatchGroup`` of the rate of grid tokens."""
    node.only_attributes("tokens")
    tokens = int(node.attribute("tokens"))
    node.require(tokens > 0, f"tokens is {tokens}, it must be at least 1")
    node.require(node.scope.group is None, "groups a second time; one PatchGroup makes all tokens")
    rate = grid_value(node, 0, "rate")
    node.settle()
    number = FixedPoint(unsigned_bits(rate.shape[0] - 1), 0, signed=False)
    output = Value(node.outputs[0], (tokens,), number, Kind.INDEX)
    node.scope.operations.append(PatchGroup(node=node.name, output=output, rate=rate))
    return (Result(output),)


def gather_elements(node: NodeView) -> tuple[Symbol, ...]:
    """``GatherElements`` of a field of the record at the grid tokens of the group."""
    node.only_attributes("axis")
    node.fixed_attribute("axis", 0, 1, "gather along the tokens")
    part = node.read(0, RecordPart, "a field of the record: msp, temporal, first, interval or rate")
    group = node.result(1, PatchGroup)
    node.settle()
    return (Grouped(part, node.source(0), group),)


def centre_surround(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::CentreSurround`` of the rate of grid tokens."""
    node.only_attributes("height", "width", "inhibition")
    height, width, inhibition = (int(node.attribute(name)) for name in ("height", "width", "inhibition"))
    highest = (1 << CoreConfig.inhibition_bits) - 1
    node.in_range(inhibition, 0, highest, "inhibition on grid 2^-6", "limit it in training")
    rate = grid_value(node, 0, "rate")
    image = _grid(node)
    node.require(
        (height, width) == image,
        f"height and width are {height} and {width}, the token grid is {image[0]} x {image[1]}",
    )
    group = group_input(node, 1)
    node.settle()
    shape = rate.shape if group is None else group.shape
    output = Value(node.outputs[0], shape, FixedPoint(CoreConfig.score_bits, CoreConfig.cue_frac))
    node.scope.operations.append(
        CentreSurround(
            node=node.name,
            output=output,
            rate=rate,
            group=group,
            height=height,
            width=width,
            inhibition=inhibition,
        )
    )
    return (Result(output),)


def _grid(node: NodeView) -> tuple[int, int]:
    """Height and width of the token grid."""
    record = node.scope.record
    image = _own_image(node.scope, record.scales) if record else None
    if image is None:
        raise node.refuse("no scale has a position for each grid token: cells of all scales pool")
    return image


def _own_image(scope: Scope, scales: tuple[CueScale, ...]) -> tuple[int, int] | None:
    """Height and width of the first scale that has a position for each grid token."""
    return next((_image(scope, scale) for scale in scales if scale.cells is None), None)


def _image(scope: Scope, scale: CueScale) -> tuple[int, int]:
    height, width = next(op.input.shape[2:] for op in scope.all(SpikeCues) if op.outputs == scale.cues)
    return height, width


def cell_problems(scope: Scope) -> list[str]:
    """Pooled scales whose cells are not equal rectangles of the token grid."""
    problems: list[str] = []
    scales = scope.record.scales if scope.record else ()
    grid = _own_image(scope, scales)
    for scale in scales:
        if scale.cells is None:
            continue
        rows, columns = _image(scope, scale)
        if grid is None or not _equal_cells(scale.cells, grid, rows, columns):
            size = f"{grid[0]} x {grid[1]}" if grid else "unknown"
            problems.append(
                f"{scale.cues[0].name}: the cells of its MSP are not {rows} x {columns} equal rectangles of the "
                f"token grid ({size}), row by row; pool to a size that divides the grid"
            )
    return problems


def _equal_cells(cells: IntArray, grid: tuple[int, int], rows: int, columns: int) -> bool:
    height, width = grid
    if height % rows or width % columns:
        return False
    y, x = np.indices(grid)
    expected = y // (height // rows) * columns + x // (width // columns)
    return np.array_equal(cells, expected.reshape(-1))
