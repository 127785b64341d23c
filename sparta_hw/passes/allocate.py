"""Memory allocation: lines of the spike memory for every tensor that lives there."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sparta_hw.config import CoreConfig
from sparta_hw.errors import CapacityError
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
    SpikingConv,
    TokenGate,
    TokenPool,
    TokenPriority,
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
    """A tensor from the operation that writes it to the last one that reads it, both included.

    ``behind`` names the tensor that it must follow without a gap.
    """

    layout: TensorLayout
    first: int
    last: int
    behind: str | None = None


@dataclass(frozen=True)
class AllocateTensors:
    """Place the input at line 0, each tensor behind the others; reuse lines of dead tensors only when short.

    Attention that a hidden layer reads lies right behind the tokens that it reads with it.

    Raises
    ------
    CapacityError
        From :meth:`run`: the spike memory is too small even with reuse.
    """

    def run(self, plan: Plan) -> Plan:
        """The plan with its ``layouts``, in execution order."""
        lives = list(_lives(plan.graph, plan.config))
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


def _lives(graph: Graph, config: CoreConfig) -> Iterator[_Life]:
    """Tensors of the spike memory in the order they are written."""
    pitches = channel_pitches(graph, config)
    last_use = {graph.input.name: 0}
    partner = {
        op.inputs[1].name: op.inputs[0].name
        for op in graph.operations
        if isinstance(op, Projection) and len(op.inputs) == 2
    }
    for at, op in enumerate(graph.operations):
        for value in _read_lines(op):
            last_use[value.name] = at
    yield _Life(_spike_layout(graph.input, graph, config, pitches), -1, last_use[graph.input.name])
    inputs = {op.inputs[0].name for op in graph.operations if isinstance(op, Projection)}
    for at, op in enumerate(graph.operations):
        name = op.output.name
        in_lines = isinstance(op, SpikingConv | TokenGate | GatherTokens | TokenPool)
        if in_lines or name in partner or (isinstance(op, Projection) and name in inputs):
            layout = _spike_layout(op.output, graph, config, pitches)
            yield _Life(layout, at, last_use.get(name, at), partner.get(name))


def _read_lines(op: Operation) -> tuple[Value, ...]:
    """What an operation reads from the spike memory."""
    match op:
        case SpikingConv():
            return (op.input,)
        case TokenGate():
            return tuple(source.spikes for source in op.sources)
        case GatherTokens():
            return (op.tokens,)
        case Projection():
            return op.inputs
    return ()


def _rows(value: Value, graph: Graph, config: CoreConfig) -> tuple[int, ...]:
    """Shape of a value in memory: rows of ranks for the largest K the core can run."""
    ranked = any(
        value == op.output
        for op in graph.operations
        if isinstance(op, TopKTokens | GatherTokens | SparseAttention)
        or (isinstance(op, Projection) and not op.logits)
    )
    return (min(graph.tokens, config.max_topk), *value.shape[1:]) if ranked else value.shape


def _spike_layout(value: Value, graph: Graph, config: CoreConfig, pitches: dict[str, int]) -> TensorLayout:
    steps = value.shape[0] if value.kind is Kind.SPIKES else value.type.bits
    groups = config.groups(steps)
    layout = TensorLayout(
        name=value.name,
        memory=Memory.SPIKES,
        shape=_rows(value, graph, config),
        kind=value.kind,
        type=value.type,
        pitch=pitches[value.name],
        steps=steps,
        groups=groups,
    )
    return replace(layout, lines=-(-layout.positions * layout.pitch // config.line) * groups)


def _place(lives: list[_Life], reuse: bool) -> list[TensorLayout]:
    """Lowest free lines for each tensor in turn; with ``reuse``, those of tensors that are dead by then."""
    followers = {life.behind: life for life in lives if life.behind is not None}
    placed: list[_Life] = []
    for life in lives:
        if life.behind is not None:
            continue
        follower = followers.get(life.layout.name)
        lines = life.layout.lines + (follower.layout.lines if follower else 0)
        last = max(life.last, follower.last) if follower else life.last
        taken = sorted(
            (other.layout.base, other.layout.base + other.layout.lines)
            for other in placed
            if not reuse or (other.first <= last and life.first <= other.last)
        )
        base = 0
        for low, high in taken:
            if base + lines <= low:
                break
            base = max(base, high)
        placed.append(replace(life, layout=replace(life.layout, base=base), last=last))
        if follower:
            behind = replace(follower.layout, base=base + life.layout.lines)
            placed.append(replace(follower, layout=behind, first=life.first, last=last))
    return [life.layout for life in placed]


def _elsewhere(plan: Plan) -> Iterator[TensorLayout]:
    """Tensors that the core keeps outside the spike memory, or only sends out."""
    graph, config = plan.graph, plan.config
    pitches = channel_pitches(graph, config)
    roles: dict[str, Memory] = {}
    for op in graph.operations:
        if isinstance(op, SparseAttention):
            roles |= {op.query.name: Memory.QUERY, op.key.name: Memory.KEY, op.value.name: Memory.VALUE}
    lined = {life.layout.name for life in _lives(graph, config)}

    def place(value: Value, memory: Memory) -> TensorLayout:
        return TensorLayout(
            name=value.name,
            memory=memory,
            shape=_rows(value, graph, config),
            kind=value.kind,
            type=value.type,
            pitch=pitches.get(value.name, 1),
        )

    for op in graph.operations:
        match op:
            case TokenScore():
                records = zip(op.outputs, _RECORD_MEMORIES, strict=True)
                yield from (place(value, memory) for value, memory in records)
            case PatchGroup():
                yield place(op.output, Memory.GROUP)
            case CentreSurround():
                yield place(op.output, Memory.SPATIAL)
            case FuseScores() | TokenPriority():
                yield place(op.output, Memory.SCORE)
            case DynamicK():
                yield place(op.output, Memory.DYNAMIC_K)
            case TopKTokens():
                yield place(op.output, Memory.SELECT)
            case SpikeCount():
                yield place(op.output, Memory.RESULTS)
            case Projection(logits=True):
                yield replace(place(op.output, Memory.RESULTS), pitch=plan.tilings[op.node].out_pitch)
            case Projection() if op.output.name in roles:
                yield place(op.output, roles[op.output.name])
            case SparseAttention() if op.output.name not in lined:
                yield place(op.output, Memory.ATTENTION)
            case FeedbackController():
                yield place(op.output, Memory.STATE)


_RECORD_MEMORIES = (Memory.MSP, Memory.TEMPORAL, Memory.FIRST, Memory.INTERVAL, Memory.RATE)
