"""Projections, sparse attention, pool and classifier: MatMul, Add, ReduceSum, sparta::SparseAttention."""

from dataclasses import replace

import numpy as np

from sparta_hw.config import CoreConfig
from sparta_hw.ir import Projection, SparseAttention, TokenGate, TokenPool, TokenScore, TopKTokens, Value
from sparta_hw.numerics import FixedPoint
from sparta_hw.onnx_import.scope import NodeView
from sparta_hw.onnx_import.spiking_ops import SHIFTS, bias_on, in_range_s8
from sparta_hw.onnx_import.symbols import Gathered, Integers, LinearSums, PoolSums, Result, Symbol, TokenSum

__all__ = ["add", "logits", "matmul", "quantised_linear", "quantised_pool", "reduce_sum", "sparse_attention"]

_FEATURE_BITS = 8
"""Query, key, value, attention and pooled features are s8."""

_LOGIT_BITS = 32
"""Width of the result port."""


def matmul(node: NodeView) -> tuple[Symbol, ...]:
    """``MatMul`` of the selected tokens, or of the pooled features, with an int8 weight (inputs, outputs)."""
    weight = node.read(1, Integers, "a weight: an int8 initializer behind DequantizeLinear")
    in_range_s8(node, weight)
    source = node.symbol(0)
    match source:
        case Gathered(tokens=value, index=found):
            index: Value | None = found
        case Result():
            value, index = node.result(0, TokenPool), None
        case _:
            raise node.refuse("multiplies neither the selected tokens nor the pooled features")
    features = value.shape[-1]
    node.require(weight.values.ndim == 2, f"the weight has {weight.values.ndim} dimensions, not 2")
    node.require(
        weight.values.shape[0] == features,
        f"the weight reads {weight.values.shape[0]} features, not {features}",
    )
    node.require(
        index is None or weight.values.shape[-1] == features,
        f"the weight is {' x '.join(map(str, weight.values.shape))}; query, key and value are as wide as "
        f"a token, {features}",
    )
    node.settle()
    frac = value.type.frac + weight.frac
    return (LinearSums(node.name, value, index, np.ascontiguousarray(weight.values.T), None, frac),)


def add(node: NodeView) -> tuple[Symbol, ...]:
    """``Add`` of a bias to a linear layer, or of the two sums of the pool."""
    operands = (node.symbol(0), node.symbol(1))
    match operands:
        case (LinearSums() as sums, Integers()) | (Integers(), LinearSums() as sums):
            if sums.bias is not None:
                raise node.refuse("adds a second bias; merge the two")
            bias = bias_on(node, 1 if operands[0] is sums else 0, sums.frac, len(sums.weight))
            node.settle()
            return (replace(sums, bias=bias),)
        case (TokenSum(), TokenSum()):
            gated = [op.output for op in node.scope.operations if isinstance(op, TokenGate)]
            tokens = next((entry.value for entry in operands if entry.value in gated), None)
            others = [entry.value for entry in operands if entry.value not in gated]
            if tokens is None or len(others) != 1:
                raise node.refuse("adds sums other than one of the gated tokens and one of the attention")
            return (PoolSums(node.name, tokens, others[0]),)
    raise node.refuse(
        "adds neither a bias (an int32 initializer behind DequantizeLinear) nor the sums of the pool"
    )


def reduce_sum(node: NodeView) -> tuple[Symbol, ...]:
    """``ReduceSum`` over tokens."""
    node.only_attributes("keepdims", "noop_with_empty_axes")
    node.fixed_attribute("keepdims", 1, 0, "drop the token axis")
    axes = np.asarray(node.constant(1, "the axes")).reshape(-1).tolist()
    node.require(axes in ([1], [-2]), f"axes are {axes}, only the token axis, [1], can be summed")
    value = node.result(0, TokenGate, SparseAttention)
    node.settle()
    return (TokenSum(node.name, value),)


def quantised_linear(node: NodeView, sums: LinearSums, target: FixedPoint) -> tuple[Symbol, ...]:
    """``Quant`` of a projection: emits the Projection of query, key or value."""
    _require_s8(node, target)
    node.in_range(
        sums.frac - target.frac,
        *SHIFTS,
        f"the right shift from the sums (2^-{sums.frac}) to the result (2^-{target.frac})",
        "use a coarser result grid or a finer weight scale",
    )
    node.require(sums.index is not None, "quantises the logits; they are exact sums, remove it")
    node.settle()
    outputs = len(sums.weight)
    output = Value(node.outputs[0], (node.scope.default_k, outputs), target)
    _emit(node, sums, output, sums.frac - target.frac)
    return (Result(output),)


def logits(node: NodeView, sums: LinearSums, name: str) -> None:
    """Emit the classifier whose exact sums are the graph output ``name``."""
    output = Value(name, (len(sums.weight),), FixedPoint(_LOGIT_BITS, sums.frac))
    _emit(node, sums, output, 0)


def _emit(node: NodeView, sums: LinearSums, output: Value, shift: int) -> None:
    bias = np.zeros(len(sums.weight), np.int64) if sums.bias is None else sums.bias
    node.scope.operations.append(
        Projection(
            node=sums.node,
            output=output,
            input=sums.input,
            index=sums.index,
            weight=sums.weight,
            bias=bias,
            shift=shift,
        )
    )


def _require_s8(node: NodeView, target: FixedPoint) -> None:
    expected = FixedPoint(_FEATURE_BITS, target.frac)
    node.require(
        target == expected, f"the result is {target}, the core has {expected}; quantise to 8 signed bits"
    )


def quantised_pool(node: NodeView, sums: PoolSums, target: FixedPoint) -> tuple[Symbol, ...]:
    """``Quant`` of the pool: emits the TokenPool on the finest of the three grids."""
    _require_s8(node, target)
    grid = max(target.frac, sums.tokens.type.frac, sums.attention.type.frac)
    shifts = {
        "token_shift": grid - sums.tokens.type.frac,
        "attention_shift": grid - sums.attention.type.frac,
        "shift": grid - target.frac,
    }
    for name, shift in shifts.items():
        node.in_range(
            shift, *SHIFTS, f"{name} between the grids of the pool", "choose grids nearer to each other"
        )
    node.settle()
    output = Value(node.outputs[0], sums.tokens.shape[1:], target)
    node.scope.operations.append(
        TokenPool(node=sums.node, output=output, tokens=sums.tokens, attention=sums.attention, **shifts)
    )
    return (Result(output),)


def sparse_attention(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::SparseAttention`` of query, key, value, score and index."""
    node.only_attributes("frac_query", "frac_key", "frac_value", "score_frac")
    node.fixed_attribute("score_frac", None, CoreConfig.score_frac, "the softmax has that grid")
    query, key, value = (node.result(at, Projection) for at in range(3))
    score, index = node.result(3, TokenScore), node.result(4, TopKTokens)
    for name, part in (("frac_query", query), ("frac_key", key), ("frac_value", value)):
        node.fixed_attribute(name, None, part.type.frac, f"it must be the grid of {part.name!r}")
    node.require(len({query, key, value}) == 3, "query, key and value must be three different projections")
    shift = query.type.frac + key.type.frac - CoreConfig.score_frac
    node.in_range(
        shift,
        *SHIFTS,
        f"the right shift from query x key (2^-{query.type.frac + key.type.frac}) to the score (2^-4)",
        "use finer grids for query and key",
    )
    node.settle()
    output = Value(node.outputs[0], value.shape, value.type)
    node.scope.operations.append(
        SparseAttention(
            node=node.name,
            output=output,
            query=query,
            key=key,
            value=value,
            score=score,
            index=index,
            shift=shift,
        )
    )
    return (Result(output),)
