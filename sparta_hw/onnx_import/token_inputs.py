"""Inputs that many token operators share: fields of the record, the group, K, the feedback state, tables, MLPs."""

import numpy as np

from sparta_hw.config import CoreConfig
from sparta_hw.ir import PatchGroup, SpikeCues, TokenMLP, Value
from sparta_hw.numerics import FixedPoint
from sparta_hw.onnx_import.record import Record
from sparta_hw.onnx_import.scope import IntArray, NodeView
from sparta_hw.onnx_import.symbols import ChosenK, Constant, Grouped, RecordPart

__all__ = [
    "SHIFTS",
    "curve_input",
    "grid_value",
    "group_input",
    "k_input",
    "mlp_inputs",
    "state_input",
    "token_count",
    "token_value",
]

SHIFTS = (0, 31)
"""What the hardware's shifters do."""

_CURVE_ENTRIES = 128


def grid_value(node: NodeView, position: int, field: str) -> Value:
    """A field of the record of grid tokens."""
    part = node.read(position, RecordPart, f"{field} of the grid tokens")
    return _value(node, position, part, node.source(position), field)


def token_value(node: NodeView, position: int, field: str) -> Value:
    """The record's values (of grid tokens) behind a field for each token: as they are, or at those of the group."""
    symbol = node.symbol(position)
    if not isinstance(symbol, RecordPart | Grouped):
        raise node.wrong(position, f"{field} of the tokens")
    group = symbol.group if isinstance(symbol, Grouped) else None
    if group != node.scope.group:
        raise node.refuse(
            f"input {position} ({node.source(position)!r}) has a value for each grid token; "
            "gather those of the group: GatherElements, axis 1"
        )
    if isinstance(symbol, Grouped):
        return _value(node, position, symbol.part, symbol.name, field)
    return _value(node, position, symbol, node.source(position), field)


def _value(node: NodeView, position: int, part: RecordPart, name: str, field: str) -> Value:
    scope, what = node.scope, f"input {position} ({node.source(position)!r})"
    if part.field != field:
        raise node.refuse(f"{what} is {part.field}, it must be {field}")
    cues = [op.outputs for op in scope.all(SpikeCues)]
    if len(part.scales) < len(cues):
        raise node.refuse(
            f"{what} is {field} of {len(part.scales)} of {len(cues)} scales; add up the results of every MSP"
        )
    if scope.record is None:
        scales = tuple(sorted(part.scales, key=lambda scale: cues.index(scale.cues)))
        scope.record = Record(part.node, scales, len(scope.operations))
    value, problem = scope.record.value(part, name)
    if value is None:
        raise node.refuse(f"{what} {problem}")
    return value


def token_count(node: NodeView) -> int:
    """N, once the record is known."""
    group, record = node.scope.group, node.scope.record
    if group is not None:
        return group.shape[0]
    if record is None:
        raise node.refuse("comes before sparta::MSP")
    return record.tokens


def group_input(node: NodeView, position: int) -> Value | None:
    """The group, or 0 .. N - 1 of shape [1, N] without patch grouping."""
    if node.scope.group is not None:
        return node.result(position, PatchGroup)
    values = node.constant(position, "the group without a PatchGroup")
    expected = np.arange(token_count(node))[None]
    node.require(
        np.array_equal(values, expected),
        f"the group is a constant, which must be 0 to {expected.size - 1} of shape {list(expected.shape)}",
    )
    return None


def k_input(node: NodeView, position: int) -> None:
    """K of each sample, the same tensor in every node; its initializer is the default K."""
    scope, name = node.scope, node.source(position)
    symbol = node.symbol(position)
    if not isinstance(symbol, Constant | ChosenK):
        raise node.wrong(position, "k, or the second result of DynamicK")
    if isinstance(symbol, Constant) and not scope.k:
        tokens = token_count(node)
        scope.default_k = int(node.scalar(position, "k (its default)"))
        node.in_range(scope.default_k, 1, tokens, "the default of k", f"the network has {tokens} tokens")
    scope.k = scope.k or name
    node.require(name == scope.k, f"reads K from {name!r}, others read it from {scope.k!r}; use one tensor")


def state_input(node: NodeView, position: int) -> None:
    """The feedback state, the same tensor in every node, 0 unless it is given."""
    scope, name = node.scope, node.source(position)
    value = node.scalar(position, "state (its default)")
    node.require(value == 0, f"the default of the state is {value:g}, it must be 0")
    scope.state = scope.state or name
    node.require(
        name == scope.state, f"reads the state from {name!r}, others read it from {scope.state!r}; use one"
    )


def curve_input(node: NodeView, position: int, name: str) -> IntArray | None:
    """A table of 128 factors on 2^-6, or None for the one factor 1."""
    table = node.on_grid(node.constant(position, name), CoreConfig.gain_frac, name)
    if table.shape == (1,):
        node.require(
            table[0] == 1 << CoreConfig.gain_frac,
            f"{name} is {table[0] / (1 << CoreConfig.gain_frac)} for all scores; use 1, or {_CURVE_ENTRIES} entries",
        )
        return None
    node.require(
        table.shape == (_CURVE_ENTRIES,),
        f"{name} has shape {list(table.shape)}, not [{_CURVE_ENTRIES}] or [1]",
    )
    highest = (1 << CoreConfig.gain_bits) - 1
    node.in_range(table, 0, highest, f"an entry of {name} on grid 2^-6", "limit it in training")
    return table


def mlp_inputs(node: NodeView, position: int) -> TokenMLP:
    """The four constants of an MLP from ``position`` on, and its shifts."""
    units = CoreConfig.hidden_units
    shapes = {"hidden_weight": (units, 3), "hidden_bias": (units,), "weight": (units,), "bias": (1,)}
    values = {}
    for at, (name, shape) in enumerate(shapes.items(), start=position):
        values[name] = node.integers(at, name, shape)
        bits = CoreConfig.mlp_bias_bits if name.endswith("bias") else CoreConfig.mlp_weight_bits
        number = FixedPoint(bits, 0)
        node.in_range(values[name], number.min, number.max, f"an entry of {name}", "limit it in training")
    hidden_shift, shift = (int(node.attribute(name)) for name in ("hidden_shift", "shift"))
    node.in_range(
        hidden_shift, *SHIFTS, "hidden_shift", "use another scale for the hidden weights of the MLP"
    )
    node.in_range(shift, *SHIFTS, "shift", "use another scale for the weights of the MLP's output")
    return TokenMLP(
        hidden_weight=values["hidden_weight"],
        hidden_bias=values["hidden_bias"],
        hidden_shift=hidden_shift,
        weight=values["weight"],
        bias=int(values["bias"][0]),
        shift=shift,
    )
