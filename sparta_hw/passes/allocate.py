"""Memory allocation: lines of the spike memory for every tensor that lives there."""

from dataclasses import dataclass, replace

from sparta_hw.config import CoreConfig
from sparta_hw.errors import CapacityError
from sparta_hw.ir import (
    Graph,
    Kind,
    Operation,
    Projection,
    SparseAttention,
    SpikingConv,
    TokenGate,
    TokenScore,
    TopKTokens,
    Value,
)
from sparta_hw.passes.plan import Plan
from sparta_hw.passes.tile import channel_pitches
from sparta_hw.tensor_layout import Memory, TensorLayout

__all__ = ["AllocateTensors"]


@dataclass(frozen=True)
class _Life:
    """A tensor from the operation that writes it to the last one that reads it, both included."""

    layout: TensorLayout
    first: int
    last: int


@dataclass(frozen=True)
class AllocateTensors:
    """Place the input at line 0, each tensor behind the others; reuse lines of dead tensors only when short.

    Raises
    ------
    CapacityError
        From :meth:`run`: the spike memory is too small even with reuse.
    """

    def run(self, plan: Plan) -> Plan:
        """The plan with its ``layouts``, in execution order."""
        lives = _lives(plan.graph, plan.config)
        depth = plan.config.spike_lines
        apart = sum(life.layout.lines for life in lives)
        placed = _place(lives, reuse=apart > depth)
        needed = max(layout.base + layout.lines for layout in placed)
        if needed > depth:
            largest = max(placed, key=lambda layout: layout.lines)
            raise CapacityError(
                f"{plan.graph.name}: {needed} lines of spikes and features with reuse, "
                f"spike_lines of core {plan.config.name!r} is {depth} "
                f"(the largest tensor, {largest.name}, takes {largest.lines}); "
                f"use a core with spike_lines of at least {needed}, or wider lines"
            )
        layouts = {layout.name: layout for layout in placed}
        layouts.update((layout.name, layout) for layout in _elsewhere(plan))
        return replace(plan, layouts=layouts)


def _spike_layout(value: Value, pitch: int, config: CoreConfig) -> TensorLayout:
    steps = value.shape[0] if value.kind is Kind.SPIKES else value.type.bits
    shape = value.shape
    positions = shape[2] * shape[3] if value.kind is Kind.SPIKES else shape[0] if len(shape) == 2 else 1
    groups = config.groups(steps)
    return TensorLayout(
        name=value.name,
        memory=Memory.SPIKES,
        shape=shape,
        kind=value.kind,
        type=value.type,
        pitch=pitch,
        steps=steps,
        groups=groups,
        lines=-(-positions * pitch // config.line) * groups,
    )


def _lives(graph: Graph, config: CoreConfig) -> list[_Life]:
    """Tensors of the spike memory in the order they are written; cues and pooled sums are not there."""
    pitches = channel_pitches(graph, config)
    values = {graph.input.name: graph.input} | {op.output.name: op.output for op in graph.operations}
    written = {graph.input.name: -1} | {op.output.name: at for at, op in enumerate(graph.operations)}
    last = dict(written)
    for at, op in enumerate(graph.operations):
        if isinstance(op, SpikingConv | TokenGate | Projection):
            last[op.input.name] = at
    return [
        _Life(_spike_layout(values[name], pitch, config), written[name], last[name])
        for name, pitch in pitches.items()
    ]


def _place(lives: list[_Life], reuse: bool) -> list[TensorLayout]:
    """Lowest free lines for each tensor in turn; with ``reuse``, those of tensors that are dead by then."""
    placed: list[_Life] = []
    for life in lives:
        taken = sorted(
            (other.layout.base, other.layout.base + other.layout.lines)
            for other in placed
            if not reuse or (other.first <= life.last and life.first <= other.last)
        )
        base = 0
        for low, high in taken:
            if base + life.layout.lines <= low:
                break
            base = max(base, high)
        placed.append(replace(life, layout=replace(life.layout, base=base)))
    return [life.layout for life in placed]


def _elsewhere(plan: Plan) -> list[TensorLayout]:
    """Tensors that the core keeps outside the spike memory, or only sends out."""
    layouts = []

    def add(value: Value, memory: Memory, pitch: int = 1) -> None:
        layouts.append(
            TensorLayout(
                name=value.name,
                memory=memory,
                shape=value.shape,
                kind=value.kind,
                type=value.type,
                pitch=pitch,
            )
        )

    attention = next(op for op in plan.graph.operations if isinstance(op, SparseAttention))
    roles = {
        attention.query.name: Memory.QUERY,
        attention.key.name: Memory.KEY,
        attention.value.name: Memory.VALUE,
    }
    for op in plan.graph.operations:
        match op:
            case TokenScore():
                add(op.output, Memory.SCORE)
            case TopKTokens():
                add(op.output, Memory.SELECT)
            case Projection():
                add(op.output, roles.get(op.output.name, Memory.RESULTS), plan.tilings[op.node].out_pitch)
            case SparseAttention():
                add(
                    op.output,
                    Memory.ATTENTION,
                    plan.tilings[_projection(plan.graph, op.value).node].out_pitch,
                )
    return layouts


def _projection(graph: Graph, value: Value) -> Operation:
    return next(op for op in graph.operations if op.output.name == value.name)
