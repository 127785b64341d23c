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
    selects = next(op for op in graph.operations if isinstance(op, TopKTokens))
    gate = next(op for op in graph.operations if isinstance(op, TokenGate))
    score = next(op for op in graph.operations if isinstance(op, TokenScore))
    stem = next(op for op in graph.operations if isinstance(op, SpikingConv))
    needs = [
        (stem.node, "time steps", stem.output.shape[0], "max_steps"),
        (score.node, "grid tokens", score.output.shape[0], "max_tokens"),
        (score.node, "scales", len(score.scales), "scales"),
        (gate.node, "tokens", graph.tokens, "max_tokens"),
        (selects.node, "selected tokens (default K)", graph.default_k, "max_topk"),
        (gate.node, "features of a token", gate.output.shape[1], "max_features"),
        (graph.name, "descriptors", 1 + sum(map(descriptors_of, graph.operations)), "layers"),
    ]
    for op in graph.operations:
        if isinstance(op, DynamicK):
            needs.append((op.node, "tokens at most (dynamic K)", int(op.table.max()), "max_topk"))
        if isinstance(op, PatchGroup):
            needs.append((op.node, "tokens to group", min(graph.grid_tokens, graph.tokens), "max_topk"))
    for node, what, value, field in dict.fromkeys(needs):
        limit = getattr(config, field)
        if value > limit:
            yield f"{node}: {value} {what}, {field} is {limit}; use a core with {field} of at least {value}"
    for op in graph.operations:
        if isinstance(op, PatchGroup) and config.topk != "sorter":
            yield f"{op.node}: grouping needs an order, topk is {config.topk!r}; use a core with topk 'sorter'"
        yield from _alignment_problems(op, config)


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
        case SpikingConv(feedback=feedback) if feedback is not None:
            highest = (1 << config.membrane_bits - 1) - 1 - feedback.limit
            if op.v_reset >= highest:
                yield (
                    f"{op.node}: v_reset is {op.v_reset}, with a feedback limit of {feedback.limit} it must be "
                    f"below {highest}; use a smaller limit"
                )
