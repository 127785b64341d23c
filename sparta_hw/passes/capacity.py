"""Sizes of the network against sizes of the core, before anything is placed."""

from collections.abc import Iterator
from dataclasses import dataclass

from sparta_hw.config import CoreConfig
from sparta_hw.errors import CapacityError
from sparta_hw.ir import (
    DynamicK,
    Graph,
    Operation,
    PatchGroup,
    SparseAttention,
    SpikeCount,
    SpikingConv,
    TokenGate,
    TokenScore,
    TopKTokens,
)
from sparta_hw.passes.plan import Plan
from sparta_hw.passes.schedule import descriptors_of

__all__ = ["CheckCapacity"]


@dataclass(frozen=True)
class CheckCapacity:
    """Steps, tokens, scales, K, order, features, heads and number of descriptors against the limits of the core.

    Raises
    ------
    CapacityError
        From :meth:`run`: lists everything that is too large, and the configuration value that would do.
    """

    def run(self, plan: Plan) -> Plan:
        """The plan as it is."""
        problems = list(_problems(plan.graph, plan.config))
        if problems:
            listing = "\n".join(f"  {problem}" for problem in problems)
            raise CapacityError(f"{plan.graph.name} does not fit core {plan.config.name!r}:\n{listing}")
        return plan


def _problems(graph: Graph, config: CoreConfig) -> Iterator[str]:
    yield from _missing_units(graph, config)
    stem = next(op for op in graph.operations if isinstance(op, SpikingConv))
    needs = [(stem.node, "time steps", stem.output.shape[0], "max_steps")]
    for op in graph.operations:
        needs += _token_needs(op, graph)
    needs.append((graph.name, "descriptors", 1 + sum(map(descriptors_of, graph.operations)), "layers"))
    for node, what, value, field in dict.fromkeys(needs):
        limit = getattr(config, field)
        if value > limit:
            yield f"{node}: {value} {what}, {field} is {limit}; use a core with {field} of at least {value}"
    for op in graph.operations:
        if isinstance(op, PatchGroup) and config.topk != "sorter":
            yield f"{op.node}: grouping needs an order, topk is {config.topk!r}; use a core with topk 'sorter'"
        yield from _alignment_problems(op, config)


def _missing_units(graph: Graph, config: CoreConfig) -> Iterator[str]:
    """The first operation for each optional unit that the core lacks."""
    missing: dict[str, Operation] = {}
    for op in graph.operations:
        option = "counts" if isinstance(op, SpikeCount) else "attention"
        if not isinstance(op, SpikingConv) and not getattr(config, option):
            missing.setdefault(option, op)
    for option, op in missing.items():
        yield f"{op.node}: {type(op).__name__} needs units that this core lacks; use one with {option}"


def _token_needs(op: Operation, graph: Graph) -> Iterator[tuple[str, str, int, str]]:
    """Node, what it needs, how much of it, and the field of the core that limits it."""
    match op:
        case TokenScore():
            yield op.node, "grid tokens", op.output.shape[0], "max_tokens"
            yield op.node, "scales", len(op.scales), "scales"
        case TokenGate():
            yield op.node, "tokens", graph.tokens, "max_tokens"
            yield op.node, "features of a token", op.output.shape[1], "max_features"
        case TopKTokens():
            yield op.node, "selected tokens (default K)", graph.default_k, "max_topk"
        case DynamicK():
            yield op.node, "tokens at most (dynamic K)", int(op.table.max()), "max_topk"
        case PatchGroup():
            yield op.node, "tokens to group", min(graph.grid_tokens, graph.tokens), "max_topk"


def _alignment_problems(op: Operation, config: CoreConfig) -> Iterator[str]:
    match op:
        case TokenGate(sources=[_, _, *_]):
            for source in op.sources:
                channels = source.spikes.shape[1]
                if channels % config.line:
                    yield (
                        f"{source.spikes.name}: {channels} channels of a branch, which must be a multiple of line "
                        f"({config.line}); use a core with a shorter line, or a branch of "
                        f"{-(-channels // config.line) * config.line} channels"
                    )
        case SparseAttention() if op.heads > 1:
            features = op.query.shape[1] // op.heads
            if features % config.lanes:
                yield (
                    f"{op.node}: {features} features of a head, which must be a multiple of lanes "
                    f"({config.lanes}); use fewer heads, or a core with fewer lanes"
                )
        case SpikingConv(direct=True) if config.fire_share > 1:
            yield (
                f"{op.node}: direct coding recombines bit planes, which lanes that share a fire lane cannot "
                f"(fire_share {config.fire_share}); use spikes, or a core with fire_share 1"
            )
        case SpikingConv(feedback=feedback) if feedback is not None:
            highest = (1 << config.membrane_bits - 1) - 1 - feedback.limit
            if op.v_reset >= highest:
                yield (
                    f"{op.node}: v_reset is {op.v_reset}, with a feedback limit of {feedback.limit} it must be "
                    f"below {highest}; use a smaller limit"
                )
