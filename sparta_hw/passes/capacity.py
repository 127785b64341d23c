"""Sizes of the network against sizes of the core, before anything is placed."""

from collections.abc import Iterator
from dataclasses import dataclass

from sparta_hw.config import CoreConfig
from sparta_hw.errors import CapacityError
from sparta_hw.ir import Graph, SpikeCues, TokenGate, TopKTokens
from sparta_hw.passes.plan import Plan

__all__ = ["CheckCapacity"]


@dataclass(frozen=True)
class CheckCapacity:
    """Steps, tokens, K, features and number of descriptors against the limits of the core.

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
    cues = next(op for op in graph.operations if isinstance(op, SpikeCues))
    # Cues and score have no descriptor of their own, and END is one more.
    descriptors = len(graph.operations) - 1
    needs = (
        (graph.input.name, "time steps", graph.input.shape[0], "max_steps"),
        (cues.node, "tokens", graph.tokens, "max_tokens"),
        (selects.node, "selected tokens (default K)", graph.default_k, "max_topk"),
        (gate.node, "features of a token", gate.output.shape[1], "max_features"),
        (graph.name, "descriptors", descriptors, "layers"),
    )
    for node, what, value, field in needs:
        limit = getattr(config, field)
        if value > limit:
            yield f"{node}: {value} {what}, {field} is {limit}; use a core with {field} of at least {value}"
