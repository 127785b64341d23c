"""Projections, pool and classifier: MatMul, Add, ReduceSum and their quantisers."""

from dataclasses import replace

import numpy as np

from sparta_hw.ir import (
    GatherTokens,
    Kind,
    Projection,
    SparseAttention,
    SpikeCount,
    SpikingConv,
    TokenGate,
    TokenPool,
    Value,
)
from sparta_hw.numerics import FixedPoint
from sparta_hw.onnx_import.record_ops import add_records
from sparta_hw.onnx_import.scope import NodeView
from sparta_hw.onnx_import.spiking_ops import bias_on, in_range_s8
from sparta_hw.onnx_import.symbols import (
    Integers,
    Joined,
    LinearSums,
    PoolSums,
    RecordPart,
    Result,
    Symbol,
    TokenSum,
)
from sparta_hw.onnx_import.token_inputs import SHIFTS

__all__ = ["add", "logits", "matmul", "quantised_linear", "quantised_pool", "reduce_sum"]

_FEATURE_BITS = 8
"""Query, key, value, attention, hidden and pooled features are s8."""

_LOGIT_BITS = 32
"""Width of the result port."""


def matmul(node: NodeView) -> tuple[Symbol, ...]:
    """``MatMul`` of selected tokens, alone or with their attention, or of the pooled features, with an int8 weight."""
    weight = node.read(1, Integers, "a weight: an int8 initializer behind DequantizeLinear")
    in_range_s8(node, weight)
    symbol = node.symbol(0)
    inputs = (
        symbol.inputs
        if isinstance(symbol, Joined)
        else (node.result(0, GatherTokens, Projection, TokenPool),)
    )
    shape = weight.values.shape
    if len(shape) != 2:
        raise node.refuse(f"the weight has {len(shape)} dimensions, not 2")
    features = inputs[0].shape[-1]
    node.require(
        shape[0] == features * len(inputs),
        f"the weight reads {shape[0]} features, not {features * len(inputs)}",
    )
    node.require(
        len(inputs[0].shape) == 1 or shape[1] == features,
        f"the weight is {shape[0]} x {shape[1]}; query, key, value and hidden are as wide as a token, {features}",
    )
    node.settle()
    frac = inputs[0].type.frac + weight.frac
    return (LinearSums(node.name, inputs, np.ascontiguousarray(weight.values.T), None, frac),)


def add(node: NodeView) -> tuple[Symbol, ...]:
    """``Add`` of a bias to a linear layer, of fields of the record, or of the two sums of the pool."""
    operands = (node.symbol(0), node.symbol(1))
    match operands:
        case (RecordPart() as left, RecordPart() as right):
            return add_records(node, left, right)
        case (LinearSums() as sums, Integers()) | (Integers(), LinearSums() as sums):
            if sums.bias is not None:
                raise node.refuse("adds a second bias; merge the two")
            bias = bias_on(node, 1 if operands[0] is sums else 0, sums.frac, len(sums.weight))
            node.settle()
            return (replace(sums, bias=bias),)
        case (TokenSum(), TokenSum()):
            return _pool(node, (operands[0].value, operands[1].value))
    raise node.refuse(
        "adds neither a bias (an int32 initializer behind DequantizeLinear), nor results of MSP, "
        "nor the sums of the pool"
    )


def _pool(node: NodeView, values: tuple[Value, Value]) -> tuple[Symbol, ...]:
    gated = [op.output for op in node.scope.all(TokenGate)]
    last = [op.output for op in node.scope.all(SparseAttention)][-1:]
    for tokens, attention in (values, values[::-1]):
        if tokens in gated and attention in last:
            return (PoolSums(node.name, tokens, attention),)
    raise node.refuse("adds sums other than one of the gated tokens and one of the last attention")


def reduce_sum(node: NodeView) -> tuple[Symbol, ...]:
    """``ReduceSum`` over tokens, or of spikes over time and space."""
    node.only_attributes("keepdims", "noop_with_empty_axes")
    node.fixed_attribute("keepdims", 1, 0, "drop the summed axes")
    axes = np.asarray(node.constant(1, "the axes")).reshape(-1).tolist()
    if _is_spikes(node):
        return _spike_count(node, axes)
    node.require(axes in ([1], [-2]), f"axes are {axes}, only the token axis, [1], can be summed")
    value = node.result(0, TokenGate, SparseAttention)
    node.settle()
    return (TokenSum(node.name, value),)


def _is_spikes(node: NodeView) -> bool:
    symbol = node.symbol(0)
    return isinstance(symbol, Result) and symbol.value.kind is Kind.SPIKES


def _spike_count(node: NodeView, axes: list[int]) -> tuple[Symbol, ...]:
    """Spikes of each neuron of the last layer: emits the SpikeCount."""
    value = node.result(0, SpikingConv)
    channels, *positions = value.shape[1:]
    node.require(
        sorted(axis % 5 for axis in axes) == [0, 3, 4],
        f"axes are {axes}, spikes are counted over time and space, [0, 3, 4]",
    )
    node.require(
        positions == [1, 1],
        f"counts spikes of {positions[0]}x{positions[1]} positions, the core counts those of one; make the last "
        "layer's kernel as large as its input",
    )
    node.settle()
    output = Value(node.outputs[0], (channels,), FixedPoint(_LOGIT_BITS, 0))
    node.scope.operations.append(SpikeCount(node=node.name, output=output, input=value))
    return (Result(output),)


def quantised_linear(node: NodeView, sums: LinearSums, target: FixedPoint) -> tuple[Symbol, ...]:
    """``Quant`` of a projection: emits the Projection of query, key, value or hidden."""
    _require_s8(node, target)
    node.in_range(
        sums.frac - target.frac,
        *SHIFTS,
        f"the right shift from the sums (2^-{sums.frac}) to the result (2^-{target.frac})",
        "use a coarser result grid or a finer weight scale",
    )
    node.require(not sums.logits, "quantises the logits; they are exact sums, remove it")
    node.settle()
    output = Value(node.outputs[0], (*sums.inputs[0].shape[:-1], len(sums.weight)), target)
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
            inputs=sums.inputs,
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
