"""Attention among the selected tokens, and the feedback controller: SparseAttention, Concat, Feedback."""

from sparta_hw.config import CoreConfig
from sparta_hw.ir import FeedbackController, GatherTokens, Projection, SparseAttention, TopKTokens, Value
from sparta_hw.numerics import FixedPoint
from sparta_hw.onnx_import.gate_ops import join_gate_parts
from sparta_hw.onnx_import.scope import NodeView
from sparta_hw.onnx_import.symbols import Attended, GatePart, Joined, Result, Symbol
from sparta_hw.onnx_import.token_inputs import SHIFTS, curve_input, k_input, state_input, token_value

__all__ = ["concat", "feedback", "sparse_attention"]

_LARGEST_RATE_SHIFT = 15
_LARGEST_TARGET = (1 << 16) - 1


def sparse_attention(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::SparseAttention`` of query, key, value, the scores, index, K and the temperature table."""
    node.only_attributes("heads", "frac_query", "frac_key", "frac_value", "score_frac")
    node.fixed_attribute("score_frac", None, CoreConfig.score_frac, "the softmax has that grid")
    heads = int(node.attribute("heads"))
    temperature = curve_input(node, 7, "temperature")
    query, key, value = (node.result(at, Projection) for at in range(3))
    for name, part in (("frac_query", query), ("frac_key", key), ("frac_value", value)):
        node.fixed_attribute(name, None, part.type.frac, f"it must be the grid of {part.name!r}")
    node.require(len({query, key, value}) == 3, "query, key and value must be three different projections")
    sources = {op.inputs for op in node.scope.all(Projection) if op.output in (query, key, value)}
    node.require(
        len(sources) == 1 and len(next(iter(sources))) == 1,
        "query, key and value must be projections of the same tokens",
    )
    features = query.shape[-1]
    node.require(
        heads > 0 and features % heads == 0, f"heads is {heads}, which does not divide {features} features"
    )
    shift = query.type.frac + key.type.frac - CoreConfig.score_frac
    node.in_range(
        shift,
        *SHIFTS,
        f"the right shift from query x key (2^-{query.type.frac + key.type.frac}) to the score (2^-4)",
        "use finer grids for query and key",
    )
    msp, temporal = token_value(node, 3, "msp"), token_value(node, 4, "temporal")
    index = node.result(5, TopKTokens)
    gathered = [op.index for op in node.scope.all(GatherTokens)]
    node.require(gathered == [index], f"attends to {index.name!r}, which is not what GatherTokens gathers")
    k_input(node, 6)
    node.settle()
    output = Value(node.outputs[0], value.shape, value.type)
    node.scope.operations.append(
        SparseAttention(
            node=node.name,
            output=output,
            query=query,
            key=key,
            value=value,
            msp=msp,
            temporal=temporal,
            index=index,
            group=node.scope.group,
            heads=heads,
            shift=shift,
            temperature=temperature,
        )
    )
    return (Result(output),)


def concat(node: NodeView) -> tuple[Symbol, ...]:
    """``Concat`` of features: of all scales, of tokens and their attention, or of the attention of all layers."""
    node.only_attributes("axis")
    axis = int(node.attribute("axis"))
    node.require(axis in (2, -1), f"axis is {axis}, features are axis 2")
    symbols = tuple(node.symbol(position) for position in range(len(node.inputs)))
    if parts := tuple(symbol for symbol in symbols if isinstance(symbol, GatePart)):
        if len(parts) < len(symbols):
            raise node.refuse("joins gated tokens with something else")
        return join_gate_parts(node, parts)
    producers = (SparseAttention, GatherTokens, Projection)
    values = tuple(node.result(position, *producers) for position in range(len(symbols)))
    attended = [op.output for op in node.scope.all(SparseAttention)]
    if values and all(value in attended for value in values):
        node.settle()
        return (Attended(values),)
    if len(values) != 2 or values[0] in attended or values[1] not in attended:
        raise node.refuse(
            "joins neither tokens with their attention, in this order, nor attention of all layers"
        )
    return _with_attention(node, values[0], values[1])


def _with_attention(node: NodeView, x: Value, attention: Value) -> tuple[Symbol, ...]:
    layer = next(op for op in node.scope.all(SparseAttention) if op.output is attention)
    query = next(op for op in node.scope.all(Projection) if op.output is layer.query)
    node.require(
        query.inputs == (x,),
        f"joins {x.name!r} with {attention.name!r}, the attention of {query.inputs[0].name!r}",
    )
    node.require(
        x.type == attention.type,
        f"joins {x.name!r} {x.type} with {attention.name!r} {attention.type}; the weights of both need one grid",
    )
    node.settle()
    return (Joined((x, attention)),)


def feedback(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::Feedback`` of the state and the attention of all layers."""
    node.only_attributes("frac", "activity_shift", "rate_shift", "target")
    activity_shift, rate_shift, target = (
        int(node.attribute(name)) for name in ("activity_shift", "rate_shift", "target")
    )
    node.in_range(activity_shift, *SHIFTS, "activity_shift", "use another grid for the activity")
    node.in_range(rate_shift, 0, _LARGEST_RATE_SHIFT, "rate_shift", "let the average forget faster")
    node.in_range(target, 0, _LARGEST_TARGET, "target", "use a larger activity_shift")
    state_input(node, 0)
    symbol = node.symbol(1)
    attended = tuple(op.output for op in node.scope.all(SparseAttention))
    found = symbol.values if isinstance(symbol, Attended) else (node.result(1, SparseAttention),)
    node.require(
        found == attended,
        f"reads the attention of {len(found)} of {len(attended)} layers; Concat all of them in their order",
    )
    for value in found:
        node.fixed_attribute("frac", None, value.type.frac, f"it must be the grid of {value.name!r}")
    node.settle()
    number = FixedPoint(CoreConfig.state_bits, CoreConfig.state_frac)
    output = Value(node.outputs[0], (1,), number)
    node.scope.operations.append(
        FeedbackController(
            node=node.name,
            output=output,
            attention=found,
            activity_shift=activity_shift,
            rate_shift=rate_shift,
            target=target,
        )
    )
    return (Result(output),)
