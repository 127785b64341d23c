from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sparta_hw.errors import UnsupportedError
from sparta_hw.ir import Graph, Kind, Operation, TokenScore, Value
from sparta_hw.numerics import FixedPoint
from sparta_hw.printer import print_graph
from sparta_hw.verifier import verify
from tests.sparta_hw.graphs import random_graph, with_operation


def whole_graph() -> Graph:
    """Every part: 16 grid tokens, 12 tokens of 32 features, 2 heads, 2 layers; cells of 2 x 2."""
    return random_graph(
        1,
        coding="spikes",
        steps=5,
        size=4,
        stem=((8, 3, 1, 1), (12, 3, 1, 1)),
        image=(2, 4, 4),
        branches=True,
        cells=2,
        tokens=12,
        fusion=True,
        spatial=True,
        dynamic_k=True,
        timing=True,
        priority=True,
        temperature=True,
        heads=2,
        layers=2,
        feedback=True,
        default_k=4,
    )


def operation(graph: Graph, node: str) -> Any:
    return next(op for op in graph.operations if op.node == node)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return whole_graph()


def moved(graph: Graph, node: str, to: int) -> Graph:
    rest = [op for op in graph.operations if op.node != node]
    rest.insert(to, operation(graph, node))
    return replace(graph, operations=tuple(rest))


def replaced(graph: Graph, op: Operation, **changes: Any) -> Graph:
    operations = tuple(replace(op, **changes) if other is op else other for other in graph.operations)
    return replace(graph, operations=operations)


def changed(of_node: str, /, **changes: Callable[[Any], Any]) -> Callable[[Graph], Graph]:
    """Fields of one operation as functions of the operation."""

    def change(graph: Graph) -> Graph:
        op = operation(graph, of_node)
        return replaced(graph, op, **{name: of(op) for name, of in changes.items()})

    return change


def shaped(value: Value, *shape: int) -> Value:
    return replace(value, shape=shape)


def flipped(table: np.ndarray) -> np.ndarray:
    """The same with its first element changed."""
    other = table.copy()
    other.reshape(-1)[0] ^= 1
    return other


def scale(op: TokenScore, n: int, **changes: Any) -> tuple:
    scales = list(op.scales)
    scales[n] = replace(scales[n], **changes)
    return tuple(scales)


CASES: dict[str, tuple[Callable[[Graph], Graph], str]] = {
    "use before definition": (
        lambda g: moved(g, "fine.conv", 0),
        r"fine\.conv: reads 'stem\.\d', which no earlier operation writes",
    ),
    "defined twice": (
        changed("local.conv", output=lambda op: replace(op.output, name="stem.0")),
        r"local\.conv: writes 'stem\.0', which already exists",
    ),
    "another type than written": (
        changed("gather", tokens=lambda op: shaped(op.tokens, 11, 32)),
        r"gather: reads tokens: integers 11x32 s8\.4, which was written as tokens: integers 12x32 s8\.4",
    ),
    "nodes of one name": (
        changed("fine.conv", node=lambda op: "stem.0.conv"),
        r"stem\.0\.conv: two operations have this name",
    ),
    "shape of the weight": (
        changed("stem.0.conv", weight=lambda op: op.weight[:, :, :, :2]),
        r"stem\.0\.conv: stem\.0 has shape",
    ),
    "weight out of range": (
        changed("stem.0.conv", weight=lambda op: op.weight + 130),
        r"stem\.0\.conv: weight reaches from .*, allowed are -128 to 127",
    ),
    "shape of the output": (
        changed("fine.conv", stride=lambda op: 2),
        r"fine\.conv: fine has shape \(5, \d+, 4, 4\), not \(5, \d+, 2, 2\)",
    ),
    "one head twice": (
        changed("attention.0", key=lambda op: op.query),
        r"attention\.0: query, key and value are not three different values",
    ),
    "heads": (
        changed("attention.1", heads=lambda op: 3),
        r"attention\.1: 3 heads do not divide 32 features",
    ),
    "kind": (
        changed("stem.0.conv", output=lambda op: replace(op.output, kind=Kind.INTEGERS)),
        r"stem\.0\.conv: stem\.0 is integers u1\.0, not spikes u1\.0",
    ),
    "leak": (
        changed("stem.0.conv", leak=lambda op: np.where(op.leak == op.leak.max(), 256, op.leak)),
        r"stem\.0\.conv: leak reaches from \d+ to 256, allowed are 1 to 255",
    ),
    "threshold": (
        changed("stem.0.conv", threshold=lambda op: op.threshold * 0),
        r"stem\.0\.conv: threshold reaches from 0 to 0, allowed are 1 to 32767",
    ),
    "soft reset to a level": (
        changed("stem.0.conv", v_reset=lambda op: 5, soft_reset=lambda op: True),
        r"stem\.0\.conv: v_reset is 5, with soft reset it must be 0",
    ),
    "pad": (
        changed("local.conv", pad=lambda op: 3),
        r"local\.conv: pad reaches from 3 to 3, allowed are 0 to 2",
    ),
    "shift": (
        changed("stem.0.conv", shift=lambda op: 32),
        r"stem\.0\.conv: shift reaches from 32 to 32, allowed are 0 to 31",
    ),
    "feedback": (
        changed("stem.0.conv", feedback=lambda op: replace(op.feedback, gain=256, limit=4096)),
        r"stem\.0\.conv: feedback limit reaches from 4096 to 4096, allowed are 0 to 4095",
    ),
    "target": (
        changed("feedback", target=lambda op: 1 << 16),
        r"feedback: target reaches from 65536 to 65536, allowed are 0 to 65535",
    ),
    "tables": (
        changed("msp", scales=lambda op: scale(op, 1, msp_tables=np.zeros((4, 40), np.int64))),
        r"msp: msp_tables of scale 1 has shape \(4, 40\), not \(4, 41\)",
    ),
    "table entries": (
        changed("msp", scales=lambda op: scale(op, 0, temporal_tables=np.full((4, 41), 1024))),
        r"msp: temporal_tables of scale 0 reaches from 1024 to 1024, allowed are -1024 to 1023",
    ),
    "cells": (
        changed("msp", scales=lambda op: scale(op, 2, cells=flipped(op.scales[2].cells))),
        r"msp: cells of scale 2 are not 2x2 equal rectangles of the grid 4x4, row by row",
    ),
    "cells of an inner scale": (
        changed("msp", scales=lambda op: scale(op, 1, cells=op.scales[2].cells)),
        r"msp: scale 1 has cells; only the last of several can",
    ),
    "cells of the gate": (
        changed("gate", sources=lambda op: (*op.sources[:2], replace(op.sources[2], cells=None))),
        r"gate: cells of context are not those of its scale in msp",
    ),
    "sources of the gate": (
        changed("gate", sources=lambda op: op.sources[::-1]),
        r"gate: gates context, local, fine, not what the cues are taken from: fine, local, context",
    ),
    "score type": (
        changed("score", output=lambda op: replace(op.output, type=FixedPoint(13, 4))),
        r"score: score is integers s13\.4, not integers s12\.4",
    ),
    "MLP": (
        changed("score", mlp=lambda op: replace(op.mlp, weight=op.mlp.weight[:7])),
        r"score: weight has shape \(7,\), not \(8,\)",
    ),
    "spatial score without an MLP": (
        changed("score", mlp=lambda op: None),
        r"score: reads 'spatial' without an MLP",
    ),
    "inhibition": (
        changed("spatial", inhibition=lambda op: 128),
        r"spatial: inhibition reaches from 128 to 128, allowed are 0 to 127",
    ),
    "table of K": (
        changed("dynamic_k", table=lambda op: np.full(256, 13)),
        r"dynamic_k: table reaches from 13 to 13, allowed are 1 to 12",
    ),
    "default K": (
        lambda g: replace(g, default_k=13),
        r"topk: default K reaches from 13 to 13, allowed are 0 to 12",
    ),
    "gain": (changed("gate", alpha=lambda op: 256), r"gate: alpha reaches from 256 to 256, allowed"),
    "timing": (
        changed("gate", timing=lambda op: op.timing[:127]),
        r"gate: timing has shape \(127,\), not \(128,\)",
    ),
    "temperature": (
        changed("attention.0", temperature=lambda op: op.temperature + 200),
        r"attention\.0: temperature reaches from \d+ to \d+, allowed are 0 to 255",
    ),
    "bias": (
        changed("query.0", bias=lambda op: np.full(32, 1 << 23)),
        r"query\.0: bias reaches from 8388608 to 8388608, allowed are -8388608 to 8388607",
    ),
    "two grids in one sum": (
        changed("attention.0", output=lambda op: replace(op.output, type=FixedPoint(8, 3))),
        r"hidden\.0: reads attention\.0: integers 4x32 s8\.4, which was written as attention\.0: .* s8\.3",
    ),
    "shift of logits": (
        changed("classifier", shift=lambda op: 1),
        r"classifier: shift of logits is 1, they are exact: 0",
    ),
    "missing stage": (
        lambda g: replace(g, operations=g.operations[:-2]),
        r"random\d+: its operations are SpikingConv -> .* -> TokenPool; the core runs SpikingConv \.\.\. -> ",
    ),
    "no stem": (
        lambda g: replace(g, operations=g.operations[6:]),
        r"random\d+: its operations are SpikeCues -> ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(30))
def test_accepts_valid_networks(seed: int) -> None:
    verify(random_graph(seed))


@pytest.mark.parametrize("case", CASES)
def test_finds_the_broken_rule(graph: Graph, case: str) -> None:
    verify(graph)
    change, message = CASES[case]
    with pytest.raises(UnsupportedError, match=message):
        verify(change(graph))


def test_hidden_layer_adds_numbers_of_one_type(graph: Graph) -> None:
    hidden = operation(graph, "hidden.0")
    other = replace(hidden.inputs[1], type=FixedPoint(8, 3))
    graph = with_operation(graph, "attention.0", output=other)
    graph = with_operation(graph, "hidden.0", inputs=(hidden.inputs[0], other))
    feedback = operation(graph, "feedback")
    graph = with_operation(graph, "feedback", attention=(other, *feedback.attention[1:]))
    with pytest.raises(UnsupportedError, match=r"hidden\.0: inputs .* s8\.4, .* s8\.3 are not of one type"):
        verify(graph)


def test_printer_shows_values_and_numbers(graph: Graph) -> None:
    text = print_graph(graph)
    first = f"graph {graph.name}(spikes: spikes 5x{graph.input.shape[1]}x"
    assert text.startswith(first)
    assert ", default K 4\n  stem.0: spikes 5x" in text
    assert "= SpikingConv stem.0.conv(input spikes; weight " in text
    assert "cells 16 of 0..3" in text
    assert "= Projection hidden.0(inputs [selected, attention.0]; weight 32x64 of -" in text
    assert "first.0: integers 16 u11.3, interval.0: integers 16 u11.3" in text
    assert text.count("\n    = ") == len(graph.operations)
