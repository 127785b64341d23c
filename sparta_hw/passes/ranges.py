"""Range analysis: no accumulator of the core can overflow, whatever the input."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.errors import CapacityError
from sparta_hw.ir import (
    Graph,
    Operation,
    Projection,
    SparseAttention,
    SpikingConv,
    TokenGate,
    TokenPool,
    TokenScore,
)
from sparta_hw.numerics import EXP_TABLE, signed_bits
from sparta_hw.passes.plan import Plan, Range

__all__ = ["AnalyseRanges"]

_ATTENTION = "width of the attention unit"
"""It is built for max_features and max_topk."""

_WAY_OUT = {
    "acc_bits": "use a core with acc_bits of at least {bits}, or train with smaller or fewer weights",
    "sum_bits": "use a core with sum_bits of at least {bits}, or train with smaller or fewer weights",
    "result port": "train the classifier with smaller weights or biases",
    "score_bits": "limit the score tables in training, so that the sum of their extremes fits",
    "pool_bits": "use coarser grids for tokens or values, or fewer tokens",
    _ATTENTION: "use a core with a larger max_features or max_topk",
}


@dataclass(frozen=True)
class AnalyseRanges:
    """Worst-case bounds from the actual weights, per node, against the widths of the core.

    Bounds are interval sums: an accumulator over 0 or 1 inputs lies between the sums of the negative and of
    the positive weights of its channel, so every partial sum does as well.

    Raises
    ------
    CapacityError
        From :meth:`run`: some quantity needs more bits than the core has; all of them are listed.
    """

    def run(self, plan: Plan) -> Plan:
        """The plan with its ``ranges``."""
        ranges = tuple(_ranges(plan.graph, plan.config))
        broken = [entry for entry in ranges if entry.bits > entry.available]
        if broken:
            listing = "\n".join(f"  {_complaint(entry)}" for entry in broken)
            raise CapacityError(
                f"{plan.graph.name}: numbers do not fit core {plan.config.name!r}:\n{listing}"
            )
        return replace(plan, ranges=ranges)


def _complaint(entry: Range) -> str:
    return (
        f"{entry.node}: {entry.quantity} reaches from {entry.low} to {entry.high}: {entry.bits} bits, "
        f"{entry.limit} is {entry.available}; {_WAY_OUT[entry.limit].format(bits=entry.bits)}"
    )


def _ranges(graph: Graph, config: CoreConfig) -> Iterator[Range]:
    bounds = {graph.input.name: (0, 1)}
    rank_limit = min(graph.tokens, config.max_topk)
    for op in graph.operations:
        bounds[op.output.name] = (op.output.type.min, op.output.type.max)
        match op:
            case SpikingConv():
                yield from _accumulators(op, op.weight.reshape(len(op.weight), -1), config)
                low, high = _sums(op.weight.reshape(len(op.weight), -1), op.bias, (0, 1))
                yield _range(op, "sum with bias", low, high, config.sum_bits, "sum_bits")
            case TokenScore():
                low, high = int(op.tables.min(axis=1).sum()), int(op.tables.max(axis=1).sum())
                yield _range(op, "score", low, high, config.score_bits, "score_bits")
            case TokenGate():
                most = graph.input.shape[0] * max(op.alpha, op.beta) >> op.shift
                bounds[op.output.name] = (0, min(most, op.output.type.max))
            case Projection():
                yield from _accumulators(op, op.weight, config)
                low, high = _sums(op.weight, op.bias, bounds[op.input.name])
                yield _range(op, "sum of bit planes", low, high, config.sum_bits, "sum_bits")
                if op.index is None:
                    yield _range(op, "logit", low, high, 32, "result port")
            case SparseAttention():
                yield from _attention(op, config, rank_limit)
            case TokenPool():
                low, high = _pooled(op, bounds, graph.tokens, rank_limit)
                yield _range(op, "pooled sum", low, high, config.pool_bits, "pool_bits")


def _range(op: Operation, quantity: str, low: int, high: int, available: int, limit: str) -> Range:
    return Range(
        node=op.node,
        quantity=quantity,
        low=low,
        high=high,
        bits=signed_bits(low, high),
        available=available,
        limit=limit,
    )


def _accumulators(op: Operation, weight: NDArray[np.int64], config: CoreConfig) -> Iterator[Range]:
    low, high = _sums(weight, np.zeros(len(weight), np.int64), (0, 1))
    yield _range(op, "accumulator", low, high, config.acc_bits, "acc_bits")


def _sums(weight: NDArray[np.int64], bias: NDArray[np.int64], bound: tuple[int, int]) -> tuple[int, int]:
    """Bounds of ``weight @ x + bias`` and its partial sums over all outputs, low <= x <= high, low <= 0."""
    low, high = bound
    negative, positive = np.minimum(weight, 0).sum(axis=1), np.maximum(weight, 0).sum(axis=1)
    least = positive * low + negative * high + np.minimum(bias, 0)
    most = positive * high + negative * low + np.maximum(bias, 0)
    return int(least.min()), int(most.max())


def _attention(op: SparseAttention, config: CoreConfig, rank_limit: int) -> Iterator[Range]:
    features = op.query.shape[-1]
    low, high = op.query.type.min, op.query.type.max
    widest = signed_bits(config.max_features * low * high, config.max_features * low * low)
    yield _range(op, "dot product", features * low * high, features * low * low, widest, _ATTENTION)
    low, high = op.value.type.min, op.value.type.max
    weight, heaviest = rank_limit * max(EXP_TABLE), config.max_topk * max(EXP_TABLE)
    widest = signed_bits(heaviest * low, heaviest * high)
    yield _range(op, "weighted value sum", weight * low, weight * high, widest, _ATTENTION)


def _pooled(op: TokenPool, bounds: dict[str, tuple[int, int]], tokens: int, ranks: int) -> tuple[int, int]:
    token_low, token_high = bounds[op.tokens.name]
    value_low, value_high = bounds[op.attention.name]
    low = (tokens * token_low << op.token_shift) + (ranks * value_low << op.attention_shift)
    high = (tokens * token_high << op.token_shift) + (ranks * value_high << op.attention_shift)
    return low, high
