"""Range analysis: no accumulator of the core can overflow, whatever the input."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.errors import CapacityError
from sparta_hw.ir import (
    DynamicK,
    FuseScores,
    GatherTokens,
    Graph,
    Kind,
    Operation,
    Projection,
    SparseAttention,
    SpikingConv,
    TokenGate,
    TokenMLP,
    TokenPool,
    TokenPriority,
)
from sparta_hw.numerics import EXP_TABLE, FixedPoint, signed_bits
from sparta_hw.passes.plan import Plan, Range

__all__ = ["AnalyseRanges"]

_MLP_BITS = 32
"""Of the token MLP's accumulators, in every core."""

_ATTENTION = "width of the attention unit"
"""It is built for max_features and max_topk."""

_WAY_OUT = {
    "acc_bits": "use a core with acc_bits of at least {bits}, or train with smaller or fewer weights",
    "weight_bits": "use a core with weight_bits of at least {bits}, or train with narrower weights",
    "sum_bits": "use a core with sum_bits of at least {bits}, or train with smaller or fewer weights",
    "result port": "train the classifier with smaller weights or biases",
    "token MLP": "train with smaller weights or biases",
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
    bounds = {graph.input.name: (0, 1 if graph.input.kind is Kind.SPIKES else graph.input.type.max)}
    steps = next(op.output.shape[0] for op in graph.operations if isinstance(op, SpikingConv))
    rank_limit = min(graph.tokens, config.max_topk)
    for op in graph.operations:
        bounds[op.output.name] = (op.output.type.min, op.output.type.max)
        match op:
            case SpikingConv():
                weight = op.weight.reshape(len(op.weight), -1)
                yield from _accumulators(op, weight, config)
                low, high = _sums(weight, op.bias, [bounds[op.input.name] if op.direct else (0, 1)])
                yield _range(op, "sum with bias", low, high, config.sum_bits, "sum_bits")
            case TokenGate():
                most = steps * _largest_gain(op) >> op.shift
                bounds[op.output.name] = (0, min(most, op.output.type.max))
            case GatherTokens():
                bounds[op.output.name] = bounds[op.tokens.name]
            case Projection():
                yield from _accumulators(op, op.weight, config)
                low, high = _sums(op.weight, op.bias, [bounds[value.name] for value in op.inputs])
                yield _range(op, "sum of bit planes", low, high, config.sum_bits, "sum_bits")
                if op.logits:
                    yield _range(op, "logit", low, high, 32, "result port")
            case FuseScores(mlp=mlp) if mlp is not None:
                yield from _mlp(op, mlp, FixedPoint(config.score_bits, 0))
            case DynamicK() | TokenPriority():
                yield from _mlp(op, op.mlp, FixedPoint(config.cue_bits, 0, signed=False))
            case SparseAttention():
                yield from _attention(op, config, rank_limit)
            case TokenPool():
                low, high = _pooled(op, bounds, graph.tokens, rank_limit)
                yield _range(op, "pooled sum", low, high, config.pool_bits, "pool_bits")


def _largest_gain(op: TokenGate) -> int:
    gain = max(op.alpha, op.beta)
    if op.timing is not None:
        gain = min(gain * int(op.timing.max()) >> CoreConfig.gain_frac, (1 << CoreConfig.gain_bits) - 1)
    return gain


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
    yield _range(op, "weight", int(weight.min()), int(weight.max()), config.weight_bits, "weight_bits")
    low, high = _sums(weight, np.zeros(len(weight), np.int64), [(0, 1)])
    yield _range(op, "accumulator", low, high, config.acc_bits, "acc_bits")


def _sums(
    weight: NDArray[np.int64], bias: NDArray[np.int64], bounds: list[tuple[int, int]]
) -> tuple[int, int]:
    """Bounds of ``weight @ x + bias`` and its partial sums over all outputs.

    The columns of ``weight`` are equal parts, one for each of ``bounds``: low <= x <= high, low <= 0.
    """
    least, most = np.minimum(bias, 0), np.maximum(bias, 0)
    for part, (low, high) in zip(np.split(weight, len(bounds), axis=1), bounds, strict=True):
        negative, positive = np.minimum(part, 0).sum(axis=1), np.maximum(part, 0).sum(axis=1)
        least = least + positive * low + negative * high
        most = most + positive * high + negative * low
    return int(least.min()), int(most.max())


def _attention(op: SparseAttention, config: CoreConfig, rank_limit: int) -> Iterator[Range]:
    features = op.query.shape[-1] // op.heads
    low, high = op.query.type.min, op.query.type.max
    widest = signed_bits(config.max_features * low * high, config.max_features * low * low)
    yield _range(op, "dot product", features * low * high, features * low * low, widest, _ATTENTION)
    low, high = op.value.type.min, op.value.type.max
    weight, heaviest = rank_limit * max(EXP_TABLE), config.max_topk * max(EXP_TABLE)
    widest = signed_bits(heaviest * low, heaviest * high)
    yield _range(op, "weighted value sum", weight * low, weight * high, widest, _ATTENTION)


def _mlp(op: Operation, mlp: TokenMLP, number: FixedPoint) -> Iterator[Range]:
    low, high = _sums(mlp.hidden_weight, mlp.hidden_bias, [(number.min, number.max)])
    yield _range(op, "hidden sum of the MLP", low, high, _MLP_BITS, "token MLP")
    largest = (1 << CoreConfig.hidden_bits) - 1
    low, high = _sums(mlp.weight[None], np.array([mlp.bias]), [(0, largest)])
    yield _range(op, "output sum of the MLP", low, high, _MLP_BITS, "token MLP")


def _pooled(op: TokenPool, bounds: dict[str, tuple[int, int]], tokens: int, ranks: int) -> tuple[int, int]:
    token_low, token_high = bounds[op.tokens.name]
    value_low, value_high = bounds[op.attention.name]
    low = (tokens * token_low << op.token_shift) + (ranks * value_low << op.attention_shift)
    high = (tokens * token_high << op.token_shift) + (ranks * value_high << op.attention_shift)
    return low, high
