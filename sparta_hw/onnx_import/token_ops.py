"""Token selection: SpikeCues -> TokenScore -> TopKTokens -> TokenGate -> GatherTokens."""

import numpy as np

from sparta_hw.config import CoreConfig
from sparta_hw.ir import Kind, SpikeCues, SpikingConv, TokenGate, TokenScore, TopKTokens, Value
from sparta_hw.numerics import FixedPoint, unsigned_bits
from sparta_hw.onnx_import.scope import NodeView
from sparta_hw.onnx_import.spiking_ops import SHIFTS
from sparta_hw.onnx_import.symbols import Gathered, Result, Symbol

__all__ = ["gather_tokens", "spike_cues", "token_gate", "token_score", "top_k_tokens"]

_CUES = ("first", "interval", "burst", "rate")


def spike_cues(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::SpikeCues`` with its four results."""
    node.only_attributes("frac")
    node.fixed_attribute("frac", None, CoreConfig.cue_frac, "the cue unit has that grid")
    spikes = node.result(0, SpikingConv)
    node.require(len(node.outputs) == len(_CUES), f"{len(node.outputs)} results, not {len(_CUES)}")
    node.settle()
    steps, _, height, width = spikes.shape
    number = FixedPoint(unsigned_bits(steps << CoreConfig.cue_frac), CoreConfig.cue_frac, signed=False)
    first, interval, burst, rate = (Value(name, (height * width,), number) for name in node.outputs)
    cues = (first, interval, burst, rate)
    node.scope.operations.append(SpikeCues(node=node.name, output=first, input=spikes, outputs=cues))
    return tuple(Result(cue) for cue in cues)


def token_score(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::TokenScore`` of the four cues and four tables."""
    node.only_attributes("frac")
    node.fixed_attribute("frac", None, CoreConfig.cue_frac, "it must be the grid of the cues")
    number = FixedPoint(CoreConfig.table_bits, CoreConfig.score_frac)
    tables = {}
    for at, cue in enumerate(_CUES, start=4):
        name = f"table_{cue}"
        tables[name] = node.on_grid(node.constant(at, name), number.frac, name).reshape(-1)
        what = f"an entry of {name} on grid 2^-{number.frac}"
        node.in_range(tables[name], number.min, number.max, what, "limit the table in training")
    inputs = [node.result(position, SpikeCues) for position in range(4)]
    cues = next((op for op in node.scope.operations if isinstance(op, SpikeCues)), None)
    if cues is None or inputs != list(cues.outputs):
        raise node.refuse(f"its first inputs must be the cues in the order {', '.join(_CUES)}")
    entries = (cues.input.shape[0] << CoreConfig.cue_frac) + 1
    for name, table in tables.items():
        node.require(
            table.size == entries, f"{name} has {table.size} entries, {entries} are needed (T * 8 + 1)"
        )
    node.settle()
    number = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)
    output = Value(node.outputs[0], inputs[0].shape, number)
    first, interval, burst, rate = inputs
    node.scope.operations.append(
        TokenScore(
            node=node.name,
            output=output,
            inputs=(first, interval, burst, rate),
            tables=np.stack(list(tables.values())),
        )
    )
    return (Result(output),)


def top_k_tokens(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::TopKTokens``; the initializer of ``k`` is the default K."""
    node.only_attributes()
    score = node.result(0, TokenScore)
    default_k = int(node.scalar(1, "k (its default)"))
    tokens = score.shape[0]
    node.in_range(default_k, 1, tokens, "the default of k", f"the network has {tokens} tokens")
    node.settle()
    number = FixedPoint(unsigned_bits(tokens - 1), 0, signed=False)
    output = Value(node.outputs[0], (default_k,), number, Kind.INDEX)
    node.scope.default_k = default_k
    node.scope.operations.append(TopKTokens(node=node.name, output=output, input=score))
    return (Result(output),)


def token_gate(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::TokenGate``: spike counts times alpha or beta."""
    node.only_attributes("frac", "bits")
    node.fixed_attribute("bits", None, CoreConfig.token_bits, "the gate has 8 bits")
    frac = int(node.attribute("frac"))
    shift = CoreConfig.gain_frac - frac
    node.in_range(
        shift,
        *SHIFTS,
        f"the right shift from alpha (2^-{CoreConfig.gain_frac}) to the tokens (2^-{frac})",
        f"use tokens with at most {CoreConfig.gain_frac} fractional bits",
    )
    gains = []
    for position, name in ((2, "alpha"), (3, "beta")):
        gain = node.on_grid(np.array([node.scalar(position, name)]), CoreConfig.gain_frac, name)
        node.in_range(
            gain,
            0,
            (1 << CoreConfig.gain_bits) - 1,
            f"{name} on grid 2^-{CoreConfig.gain_frac}",
            "limit it in training",
        )
        gains.append(int(gain[0]))
    spikes = node.result(0, SpikingConv)
    index = node.result(1, TopKTokens)
    cues = next((op for op in node.scope.operations if isinstance(op, SpikeCues)), None)
    node.require(
        cues is not None and cues.input == spikes, "must read the spikes that the cues are taken from"
    )
    node.settle()
    _, channels, height, width = spikes.shape
    number = FixedPoint(CoreConfig.token_bits, frac, signed=False)
    output = Value(node.outputs[0], (height * width, channels), number)
    node.scope.operations.append(
        TokenGate(
            node=node.name,
            output=output,
            input=spikes,
            index=index,
            alpha=gains[0],
            beta=gains[1],
            shift=shift,
        )
    )
    return (Result(output),)


def gather_tokens(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::GatherTokens``: part of the projections that read it."""
    node.only_attributes()
    tokens = node.result(0, TokenGate)
    index = node.result(1, TopKTokens)
    node.settle()
    return (Gathered(tokens, index),)
