"""The rules of the IR: checked after import and after every pass."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.errors import UnsupportedError
from sparta_hw.ir import (
    CentreSurround,
    DynamicK,
    FeedbackController,
    FuseScores,
    GatherTokens,
    Graph,
    Kind,
    Operation,
    PatchGroup,
    Projection,
    SparseAttention,
    SpikeCount,
    SpikeCues,
    SpikingConv,
    TokenGate,
    TokenMLP,
    TokenPool,
    TokenPriority,
    TokenScore,
    TopKTokens,
    Value,
)
from sparta_hw.numerics import FixedPoint

__all__ = ["structure_problems", "verify"]

_LETTERS: dict[type[Operation], str] = {
    SpikingConv: "c",
    SpikeCount: "C",
    SpikeCues: "u",
    TokenScore: "s",
    PatchGroup: "g",
    CentreSurround: "n",
    FuseScores: "f",
    DynamicK: "d",
    TopKTokens: "t",
    TokenGate: "G",
    TokenPriority: "p",
    GatherTokens: "x",
    Projection: "L",
    SparseAttention: "A",
    TokenPool: "P",
    FeedbackController: "F",
}

_SEQUENCE = re.compile(r"c+(C|(u|uuu)sg?n?fd?tG(pt)?x(LLLAL)*LLLAPLF?)")
"""What the core runs, one letter of ``_LETTERS`` an operation."""

_READABLE = (
    "SpikingConv ... -> SpikeCount, or SpikingConv ... -> SpikeCues (1 or 3) -> TokenScore [-> PatchGroup] "
    "[-> CentreSurround] -> FuseScores [-> DynamicK] -> TopKTokens -> TokenGate [-> TokenPriority -> TopKTokens] -> "
    "GatherTokens -> (Projection x 3 -> SparseAttention -> Projection) ... -> Projection x 3 -> SparseAttention -> "
    "TokenPool -> Projection [-> FeedbackController]"
)

_SHIFTS = (0, 31)


def verify(graph: Graph) -> None:
    """Check definitions before uses, unique names, shapes, kinds, types, ranges, and the structure.

    Raises
    ------
    UnsupportedError
        Lists every broken rule with its node; without the structure, that of the operations means nothing.
    """
    structure = structure_problems(graph)
    problems = [*_definition_problems(graph), *structure]
    if not structure:
        problems += [f"{op.node}: {problem}" for op in graph.operations for problem in _problems(op, graph)]
    if problems:
        listing = "\n".join(f"  {problem}" for problem in problems)
        raise UnsupportedError(f"{graph.name}: not a valid graph:\n{listing}")


def structure_problems(graph: Graph) -> list[str]:
    """What is missing or too much for the sequence the core runs; empty when nothing is."""
    letters = "".join(_LETTERS[type(op)] for op in graph.operations)
    if _SEQUENCE.fullmatch(letters):
        return []
    found = " -> ".join(type(op).__name__ for op in graph.operations) or "nothing"
    return [f"{graph.name}: its operations are {found}; the core runs {_READABLE}"]


def _definition_problems(graph: Graph) -> Iterator[str]:
    defined = {graph.input.name: graph.input}
    nodes: set[str] = set()
    for op in graph.operations:
        if op.node in nodes:
            yield f"{op.node}: two operations have this name"
        nodes.add(op.node)
        for value in _sources(op):
            written = defined.get(value.name)
            if written is None:
                yield f"{op.node}: reads {value.name!r}, which no earlier operation writes"
            elif written != value:
                yield f"{op.node}: reads {value}, which was written as {written}"
        for value in _results(op):
            if value.name in defined:
                yield f"{op.node}: writes {value.name!r}, which already exists"
            defined[value.name] = value


def _results(op: Operation) -> tuple[Value, ...]:
    gain = (op.gain,) if isinstance(op, TokenGate) else ()
    return (*getattr(op, "outputs", (op.output,)), *gain)


def _sources(op: Operation) -> tuple[Value, ...]:
    """All values in the fields of an operation that it does not write."""
    results = _results(op)
    return tuple(
        value for field in fields(op) for value in _values(getattr(op, field.name)) if value not in results
    )


def _values(content: Any) -> Iterator[Value]:
    if isinstance(content, Value):
        yield content
    elif isinstance(content, tuple):
        for part in content:
            yield from _values(part)
    elif is_dataclass(content) and not isinstance(content, type):
        for field in fields(content):
            yield from _values(getattr(content, field.name))


def _in(what: str, values: NDArray[np.int64] | int, low: int, high: int) -> Iterator[str]:
    array = np.asarray(values)
    if array.size and not (low <= array.min() and array.max() <= high):
        yield f"{what} reaches from {array.min()} to {array.max()}, allowed are {low} to {high}"


def _shape(what: str, found: tuple[int, ...], expected: tuple[int, ...]) -> Iterator[str]:
    if found != expected:
        yield f"{what} has shape {found}, not {expected}"


def _typed(value: Value, bits: int, signed: bool, kind: Kind = Kind.INTEGERS) -> Iterator[str]:
    if (value.type.bits, value.type.signed, value.kind) != (bits, signed, kind):
        expected = FixedPoint(bits, value.type.frac, signed)
        yield f"{value.name} is {value.kind.value} {value.type}, not {kind.value} {expected}"


def _problems(op: Operation, graph: Graph) -> Iterator[str]:
    match op:
        case SpikingConv():
            yield from _conv_problems(op)
        case SpikeCount():
            yield from _shape(op.input.name, op.input.shape[2:], (1, 1))
            yield from _shape(op.output.name, op.output.shape, op.input.shape[1:2])
        case SpikeCues():
            positions = op.input.shape[2] * op.input.shape[3]
            for output in op.outputs:
                yield from _shape(output.name, output.shape, (positions,))
            if op.output != op.outputs[0]:
                yield "output is not the first of outputs"
        case TokenScore():
            yield from _score_problems(op, graph)
        case PatchGroup():
            yield from _typed(op.output, op.output.type.bits, op.output.type.signed, Kind.INDEX)
        case CentreSurround():
            yield from _shape(op.rate.name, op.rate.shape, (op.height * op.width,))
            yield from _in("inhibition", op.inhibition, 0, (1 << CoreConfig.inhibition_bits) - 1)
            yield from _token_score(op.output, op.group, op.rate)
        case FuseScores():
            yield from _token_score(op.output, op.group, op.msp)
            if op.mlp is not None:
                yield from _mlp_problems(op.mlp)
            elif op.spatial is not None:
                yield f"reads {op.spatial.name!r} without an MLP"
        case DynamicK():
            yield from _mlp_problems(op.mlp)
            yield from _shape("table", op.table.shape, (256,))
            yield from _in("table", op.table, 1, graph.tokens)
        case TopKTokens():
            lowest = 0 if graph.dynamic else 1
            yield from _in("default K", graph.default_k, lowest, graph.tokens)
            yield from _shape(op.output.name, op.output.shape, (graph.ranks,))
        case TokenGate():
            yield from _gate_problems(op, graph)
        case TokenPriority():
            yield from _mlp_problems(op.mlp)
            yield from _shape(op.output.name, op.output.shape, op.gain.shape)
        case GatherTokens():
            yield from _shape(op.output.name, op.output.shape, (graph.ranks, op.tokens.shape[1]))
        case Projection():
            yield from _projection_problems(op)
        case SparseAttention():
            yield from _attention_problems(op)
        case TokenPool():
            yield from _shape(op.output.name, op.output.shape, op.tokens.shape[1:])
            yield from _shape(op.attention.name, op.attention.shape[1:], op.tokens.shape[1:])
            yield from _typed(op.output, 8, True)
            for name in ("token_shift", "attention_shift", "shift"):
                yield from _in(name, getattr(op, name), *_SHIFTS)
        case FeedbackController():
            yield from _in("activity_shift", op.activity_shift, *_SHIFTS)
            yield from _in("rate_shift", op.rate_shift, 0, 15)
            yield from _in("target", op.target, 0, (1 << 16) - 1)


def _token_score(output: Value, group: Value | None, grid: Value) -> Iterator[str]:
    yield from _shape(output.name, output.shape, grid.shape if group is None else group.shape)
    yield from _typed(output, CoreConfig.score_bits, True)


def _score_problems(op: TokenScore, graph: Graph) -> Iterator[str]:
    for n, scale in enumerate(op.scales):
        for name in ("msp_tables", "temporal_tables"):
            tables = getattr(scale, name)
            yield from _shape(f"{name} of scale {n}", tables.shape, (4, _table_entries(graph)))
            yield from _signed(f"{name} of scale {n}", tables, CoreConfig.table_bits)
        if scale.cells is None:
            yield from _shape(scale.cues[0].name, scale.cues[0].shape, op.output.shape)
        else:
            yield from _cell_problems(n, op, graph)
    for value in op.outputs[:2]:
        yield from _typed(value, CoreConfig.score_bits, True)


def _cell_problems(n: int, op: TokenScore, graph: Graph) -> Iterator[str]:
    """A pooled scale is the last one, and its positions are equal rectangles of the grid, row by row."""
    scale = op.scales[n]
    if n in (0, *range(len(op.scales) - 1)):
        yield f"scale {n} has cells; only the last of several can"
    spikes = {cues.output.name: cues.input for cues in graph.operations if isinstance(cues, SpikeCues)}
    whole, pooled = (spikes.get(part.cues[0].name) for part in (op.scales[0], scale))
    if whole is None or pooled is None or scale.cells is None:
        return
    (height, width), (rows, columns) = whole.shape[2:], pooled.shape[2:]
    if height % rows or width % columns:
        yield f"{rows}x{columns} cells of scale {n} do not divide the grid {height}x{width}"
        return
    row, column = np.arange(height) // (height // rows), np.arange(width) // (width // columns)
    if not np.array_equal(scale.cells, (row[:, None] * columns + column).reshape(-1)):
        yield f"cells of scale {n} are not {rows}x{columns} equal rectangles of the grid {height}x{width}, row by row"


def _table_entries(graph: Graph) -> int:
    steps = next(op.output.shape[0] for op in graph.operations if isinstance(op, SpikingConv))
    return (steps << CoreConfig.cue_frac) + 1


def _mlp_problems(mlp: TokenMLP) -> Iterator[str]:
    units = CoreConfig.hidden_units
    yield from _shape("hidden_weight", mlp.hidden_weight.shape, (units, 3))
    yield from _shape("weight", mlp.weight.shape, (units,))
    for name in ("hidden_weight", "weight"):
        yield from _signed(name, getattr(mlp, name), CoreConfig.mlp_weight_bits)
    for name in ("hidden_bias", "bias"):
        yield from _signed(name, getattr(mlp, name), CoreConfig.mlp_bias_bits)
    for name in ("hidden_shift", "shift"):
        yield from _in(name, getattr(mlp, name), *_SHIFTS)


def _attention_problems(op: SparseAttention) -> Iterator[str]:
    if len({op.query, op.key, op.value}) < 3:
        yield "query, key and value are not three different values"
    for value in (op.query, op.key, op.value, op.output):
        yield from _shape(value.name, value.shape, op.query.shape)
        yield from _typed(value, 8, True)
    yield from _in("shift", op.shift, *_SHIFTS)
    if op.query.shape[1] % op.heads:
        yield f"{op.heads} heads do not divide {op.query.shape[1]} features"
    if op.temperature is not None:
        yield from _factor_table("temperature", op.temperature)


def _factor_table(name: str, table: NDArray[np.int64]) -> Iterator[str]:
    yield from _shape(name, table.shape, (128,))
    yield from _in(name, table, 0, (1 << CoreConfig.gain_bits) - 1)


def _signed(what: str, values: NDArray[np.int64] | int, bits: int) -> Iterator[str]:
    number = FixedPoint(bits, 0)
    yield from _in(what, values, number.min, number.max)


def _conv_problems(op: SpikingConv) -> Iterator[str]:
    steps = op.output.shape[0]
    channels, height, width = op.input.shape[-3:]
    outputs, _, *kernel = op.weight.shape
    grid = tuple(
        (size + 2 * op.pad - k) // op.stride + 1 for size, k in zip((height, width), kernel, strict=True)
    )
    if op.direct:
        yield from _typed(op.input, 8, False)
    else:
        yield from _shape(op.input.name, op.input.shape[:1], (steps,))
    if op.feedback is not None:
        yield from _in("feedback gain", op.feedback.gain, 0, 255)
        yield from _in("feedback limit", op.feedback.limit, 0, 4095)
    yield from _shape("weight", op.weight.shape, (outputs, channels, *kernel))
    yield from _shape(op.output.name, op.output.shape, (steps, outputs, *grid))
    for name in ("bias", "leak", "threshold"):
        yield from _shape(name, getattr(op, name).shape, (outputs,))
    yield from _signed("weight", op.weight, CoreConfig.max_weight_bits)
    yield from _signed("bias", op.bias, CoreConfig.bias_bits)
    yield from _in("leak", op.leak, 1, (1 << CoreConfig.tau_bits) - 1)
    yield from _in("threshold", op.threshold, 1, FixedPoint(CoreConfig.membrane_bits, 0).max)
    yield from _signed("v_reset", op.v_reset, CoreConfig.membrane_bits)
    yield from _in("shift", op.shift, *_SHIFTS)
    yield from _in("pad", op.pad, 0, min(kernel) - 1)
    yield from _typed(op.output, 1, False, Kind.SPIKES)
    if op.membrane.bits != CoreConfig.membrane_bits or not op.membrane.signed:
        yield f"membrane is {op.membrane}, not s{CoreConfig.membrane_bits}"
    if op.soft_reset and op.v_reset:
        yield f"v_reset is {op.v_reset}, with soft reset it must be 0"


def _gate_problems(op: TokenGate, graph: Graph) -> Iterator[str]:
    channels = sum(source.spikes.shape[1] for source in op.sources)
    scales = [other.input for other in graph.operations if isinstance(other, SpikeCues)]
    if [source.spikes for source in op.sources] != scales:
        found = ", ".join(source.spikes.name for source in op.sources)
        yield f"gates {found}, not what the cues are taken from: {', '.join(value.name for value in scales)}"
    for score in graph.operations:
        if isinstance(score, TokenScore):
            for source, scale in zip(op.sources, score.scales, strict=False):
                if not np.array_equal(source.cells, scale.cells):  # type: ignore[arg-type]
                    yield f"cells of {source.spikes.name} are not those of its scale in {score.node}"
    yield from _shape(op.output.name, op.output.shape, (*op.gain.shape, channels))
    yield from _typed(op.output, CoreConfig.token_bits, op.output.type.signed)
    for name in ("alpha", "beta"):
        yield from _in(name, getattr(op, name), 0, (1 << CoreConfig.gain_bits) - 1)
    yield from _in("shift", op.shift, *_SHIFTS)
    if op.timing is not None:
        yield from _factor_table("timing", op.timing)


def _projection_problems(op: Projection) -> Iterator[str]:
    outputs = len(op.weight)
    source = op.inputs[0]
    if len({value.shape for value in op.inputs}) > 1 or len(op.inputs) > 2:
        yield f"inputs are {', '.join(map(str, op.inputs))}, not one or two of the same shape"
    if len({value.type for value in op.inputs}) > 1:
        yield f"inputs {', '.join(map(str, op.inputs))} are not of one type"
    yield from _shape("weight", op.weight.shape, (outputs, source.shape[-1] * len(op.inputs)))
    yield from _shape("bias", op.bias.shape, (outputs,))
    yield from _shape(op.output.name, op.output.shape, (*source.shape[:-1], outputs))
    yield from _signed("weight", op.weight, CoreConfig.max_weight_bits)
    yield from _signed("bias", op.bias, CoreConfig.bias_bits)
    yield from _in("shift", op.shift, *_SHIFTS)
    if op.logits and op.shift:
        yield f"shift of logits is {op.shift}, they are exact: 0"
    if not op.logits:
        yield from _typed(op.output, 8, True)
