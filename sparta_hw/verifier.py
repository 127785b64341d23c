"""The rules of the IR: checked after import and after every pass."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.errors import UnsupportedError
from sparta_hw.ir import (
    Graph,
    Kind,
    Operation,
    Projection,
    SparseAttention,
    SpikeCues,
    SpikingConv,
    TokenGate,
    TokenPool,
    TokenScore,
    TopKTokens,
    Value,
)
from sparta_hw.numerics import FixedPoint

__all__ = ["structure_problems", "verify"]

_STAGES: tuple[tuple[type[Operation], int], ...] = (
    (SpikeCues, 1),
    (TokenScore, 1),
    (TopKTokens, 1),
    (TokenGate, 1),
    (Projection, 3),
    (SparseAttention, 1),
    (TokenPool, 1),
    (Projection, 1),
)
"""What follows the spiking convolutions, in order."""

_SHIFTS = (0, 31)


def verify(graph: Graph) -> None:
    """Check definitions before uses, unique names, shapes, kinds, types, ranges, and the structure.

    Raises
    ------
    UnsupportedError
        Lists every broken rule with its node.
    """
    problems = [*_definition_problems(graph), *structure_problems(graph)]
    problems += [f"{op.node}: {problem}" for op in graph.operations for problem in _problems(op, graph)]
    if problems:
        listing = "\n".join(f"  {problem}" for problem in problems)
        raise UnsupportedError(f"{graph.name}: not a valid graph:\n{listing}")


def structure_problems(graph: Graph) -> list[str]:
    """What is missing or too much for the sequence the core runs; empty when nothing is."""
    kinds = [type(op) for op in graph.operations]
    stems = next((at for at, kind in enumerate(kinds) if kind is not SpikingConv), len(kinds))
    problems = [] if stems else [f"{graph.name}: starts without a SpikingConv"]
    expected = [kind for kind, count in _STAGES for _ in range(count)]
    if kinds[stems:] != expected:
        names = " -> ".join(f"{kind.__name__}{f' x {n}' if n > 1 else ''}" for kind, n in _STAGES)
        found = " -> ".join(kind.__name__ for kind in kinds[stems:]) or "nothing"
        problems.append(f"{graph.name}: after its SpikingConvs come {found}; the core runs {names}")
    return problems


def _definition_problems(graph: Graph) -> Iterator[str]:
    defined: dict[str, tuple[Value, type[Operation] | None]] = {graph.input.name: (graph.input, None)}
    nodes: set[str] = set()
    for op in graph.operations:
        if op.node in nodes:
            yield f"{op.node}: two operations have this name"
        nodes.add(op.node)
        for value, expected in _sources(op):
            written, producer = defined.get(value.name, (None, None))
            if written is None:
                yield f"{op.node}: reads {value.name!r}, which no earlier operation writes"
            elif written != value:
                yield f"{op.node}: reads {value}, which was written as {written}"
            elif producer not in (expected, None) or (producer is None and expected is not SpikingConv):
                yield f"{op.node}: reads {value.name!r}, which is no result of {expected.__name__}"
        for value in op.outputs if isinstance(op, SpikeCues) else (op.output,):
            if value.name in defined:
                yield f"{op.node}: writes {value.name!r}, which already exists"
            defined[value.name] = (value, type(op))


def _sources(op: Operation) -> tuple[tuple[Value, type[Operation]], ...]:
    """What an operation reads, each with the operation that must have written it (or the network's input)."""
    match op:
        case SpikingConv() | SpikeCues():
            return ((op.input, SpikingConv),)
        case TokenScore():
            return tuple((cue, SpikeCues) for cue in op.inputs)
        case TopKTokens():
            return ((op.input, TokenScore),)
        case TokenGate():
            return ((op.input, SpikingConv), (op.index, TopKTokens))
        case Projection(index=None):
            return ((op.input, TokenPool),)
        case Projection(index=Value() as index):
            return ((op.input, TokenGate), (index, TopKTokens))
        case SparseAttention():
            heads = tuple((head, Projection) for head in (op.query, op.key, op.value))
            return (*heads, (op.score, TokenScore), (op.index, TopKTokens))
        case TokenPool():
            return ((op.tokens, TokenGate), (op.attention, SparseAttention))
    raise TypeError(f"{op.node}: unknown operation {type(op).__name__}")


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
        case SpikeCues():
            tokens = op.input.shape[2] * op.input.shape[3]
            for output in op.outputs:
                yield from _shape(output.name, output.shape, (tokens,))
            if op.output != op.outputs[0]:
                yield "output is not the first of outputs"
        case TokenScore():
            entries = (graph.input.shape[0] << CoreConfig.cue_frac) + 1
            yield from _shape("tables", op.tables.shape, (4, entries))
            yield from _signed("tables", op.tables, CoreConfig.table_bits)
            yield from _shape(op.output.name, op.output.shape, op.inputs[0].shape)
            yield from _typed(op.output, CoreConfig.score_bits, True)
        case TopKTokens():
            yield from _in("default K", graph.default_k, 1, op.input.shape[0])
            yield from _shape(op.output.name, op.output.shape, (graph.default_k,))
        case TokenGate():
            yield from _gate_problems(op)
        case Projection():
            yield from _projection_problems(op, graph)
        case SparseAttention():
            if len({op.query, op.key, op.value}) < 3:
                yield "query, key and value are not three different values"
            for value in (op.query, op.key, op.value, op.output):
                yield from _shape(value.name, value.shape, op.query.shape)
                yield from _typed(value, 8, True)
            yield from _in("shift", op.shift, *_SHIFTS)
        case TokenPool():
            yield from _shape(op.output.name, op.output.shape, op.tokens.shape[1:])
            yield from _shape(op.attention.name, op.attention.shape[1:], op.tokens.shape[1:])
            yield from _typed(op.output, 8, True)
            for name in ("token_shift", "attention_shift", "shift"):
                yield from _in(name, getattr(op, name), *_SHIFTS)


def _signed(what: str, values: NDArray[np.int64] | int, bits: int) -> Iterator[str]:
    number = FixedPoint(bits, 0)
    yield from _in(what, values, number.min, number.max)


def _conv_problems(op: SpikingConv) -> Iterator[str]:
    steps, channels, height, width = op.input.shape
    outputs, _, *kernel = op.weight.shape
    grid = tuple(
        (size + 2 * op.pad - k) // op.stride + 1 for size, k in zip((height, width), kernel, strict=True)
    )
    yield from _shape("weight", op.weight.shape, (outputs, channels, *kernel))
    yield from _shape(op.output.name, op.output.shape, (steps, outputs, *grid))
    for name in ("bias", "leak", "threshold"):
        yield from _shape(name, getattr(op, name).shape, (outputs,))
    yield from _signed("weight", op.weight, CoreConfig.weight_bits)
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


def _gate_problems(op: TokenGate) -> Iterator[str]:
    _, channels, height, width = op.input.shape
    yield from _shape(op.output.name, op.output.shape, (height * width, channels))
    yield from _typed(op.output, CoreConfig.token_bits, False)
    for name in ("alpha", "beta"):
        yield from _in(name, getattr(op, name), 0, (1 << CoreConfig.gain_bits) - 1)
    yield from _in("shift", op.shift, *_SHIFTS)


def _projection_problems(op: Projection, graph: Graph) -> Iterator[str]:
    outputs = len(op.weight)
    rows = () if op.index is None else (graph.default_k,)
    yield from _shape("weight", op.weight.shape, (outputs, op.input.shape[-1]))
    yield from _shape("bias", op.bias.shape, (outputs,))
    yield from _shape(op.output.name, op.output.shape, (*rows, outputs))
    yield from _signed("weight", op.weight, CoreConfig.weight_bits)
    yield from _signed("bias", op.bias, CoreConfig.bias_bits)
    yield from _in("shift", op.shift, *_SHIFTS)
    if op.index is None and op.shift:
        yield f"shift of logits is {op.shift}, they are exact: 0"
    if op.index is not None:
        yield from _typed(op.output, 8, True)
