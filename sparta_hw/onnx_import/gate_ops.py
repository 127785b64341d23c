"""Gains and gated tokens: TokenGain -> TokenGate -> Concat, GatedRate."""

import numpy as np

from sparta_hw.config import CoreConfig
from sparta_hw.ir import FuseScores, GateSource, SpikeCues, SpikingConv, TokenGate, TopKTokens, Value
from sparta_hw.numerics import FixedPoint
from sparta_hw.onnx_import.record_ops import cells_input
from sparta_hw.onnx_import.scope import NodeView
from sparta_hw.onnx_import.symbols import Gain, GatedRate, GatePart, Result, Symbol
from sparta_hw.onnx_import.token_inputs import (
    SHIFTS,
    curve_input,
    group_input,
    k_input,
    token_count,
    token_value,
)

__all__ = ["gated_rate", "join_gate_parts", "token_gain", "token_gate"]

_GAIN = FixedPoint(CoreConfig.gain_bits, CoreConfig.gain_frac, signed=False)


def token_gain(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::TokenGain``: alpha or beta, times the timing table."""
    node.only_attributes()
    alpha, beta = (_factor(node, at, name) for at, name in ((3, "alpha"), (4, "beta")))
    timing = curve_input(node, 5, "timing")
    index = node.result(0, TopKTokens)
    scores = [op.output for op in node.scope.all(FuseScores)]
    ranked = next(op.input for op in node.scope.all(TopKTokens) if op.output is index)
    node.require(ranked in scores, f"winners rank by {ranked.name!r}, they must rank by the score")
    k_input(node, 1)
    msp = token_value(node, 2, "msp")
    node.settle()
    value = Value(node.outputs[0], (token_count(node),), _GAIN)
    return (Gain(value, index, msp, alpha, beta, timing),)


def _factor(node: NodeView, position: int, name: str) -> int:
    factor = node.on_grid(np.array([node.scalar(position, name)]), _GAIN.frac, name)
    node.in_range(factor, 0, _GAIN.max, f"{name} on grid 2^-{_GAIN.frac}", "limit it in training")
    return int(factor[0])


def token_gate(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::TokenGate``: spike counts of one scale times the gains; emits TokenGate if it is the only scale."""
    node.only_attributes("frac", "bits", "signed")
    node.fixed_attribute("bits", None, CoreConfig.token_bits, "the gate has 8 bits")
    frac, signed = int(node.attribute("frac")), node.attribute("signed")
    node.require(signed in (0, 1), f"signed is {signed}, it must be 0 or 1")
    node.in_range(
        CoreConfig.gain_frac - frac,
        *SHIFTS,
        f"the right shift from the gain (2^-{CoreConfig.gain_frac}) to the tokens (2^-{frac})",
        f"use tokens with at most {CoreConfig.gain_frac} fractional bits",
    )
    spikes = node.result(0, SpikingConv)
    cells = cells_input(node, 1, spikes.shape[2] * spikes.shape[3])
    gain = node.read(2, Gain, "the result of TokenGain")
    group = group_input(node, 3)
    node.settle()
    number = FixedPoint(CoreConfig.token_bits, frac, signed=bool(signed))
    part = GatePart(gain, GateSource(spikes=spikes, cells=cells), group, number)
    record = node.scope.record
    if record is not None and len(record.scales) > 1:
        return (part,)
    return _emit(node, (part,))


def join_gate_parts(node: NodeView, parts: tuple[GatePart, ...]) -> tuple[Symbol, ...]:
    """``Concat`` of the gated features of all scales: emits TokenGate."""
    first = parts[0]
    for part in parts[1:]:
        node.require(part.gain is first.gain, "joins tokens of different gains")
        node.require(part.type == first.type, f"joins tokens {part.type} to tokens {first.type}")
    return _emit(node, parts)


def _emit(node: NodeView, parts: tuple[GatePart, ...]) -> tuple[Symbol, ...]:
    gain, number = parts[0].gain, parts[0].type
    node.require(
        _reads_the_scales(node, parts),
        "must read the spikes that the cues are taken from, all scales in their order, with the cells of MSP",
    )
    node.require(not node.scope.all(TokenGate), "gates a second time; there is one set of tokens")
    node.settle()
    features = sum(part.source.spikes.shape[1] for part in parts)
    output = Value(node.outputs[0], (*gain.value.shape, features), number)
    node.scope.operations.append(
        TokenGate(
            node=node.name,
            output=output,
            sources=tuple(part.source for part in parts),
            index=gain.index,
            group=parts[0].group,
            alpha=gain.alpha,
            beta=gain.beta,
            msp=gain.msp,
            timing=gain.timing,
            shift=CoreConfig.gain_frac - number.frac,
            gain=gain.value,
        )
    )
    return (Result(output),)


def _reads_the_scales(node: NodeView, parts: tuple[GatePart, ...]) -> bool:
    record = node.scope.record
    if record is None or len(record.scales) != len(parts):
        return False
    spikes = {op.outputs: op.input for op in node.scope.all(SpikeCues)}
    return all(
        spikes[scale.cues] is part.source.spikes
        and np.array_equal(_cells(scale.cells), _cells(part.source.cells))
        for scale, part in zip(record.scales, parts, strict=True)
    )


def _cells(cells: np.ndarray | None) -> np.ndarray:
    return np.array([], np.int64) if cells is None else cells


def gated_rate(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::GatedRate``: part of the priority."""
    node.only_attributes()
    rate = token_value(node, 0, "rate")
    gain = node.read(1, Gain, "the result of TokenGain")
    node.settle()
    return (GatedRate(rate, gain.value),)
