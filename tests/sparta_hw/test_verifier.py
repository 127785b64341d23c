from dataclasses import replace

import numpy as np
import pytest

from sparta_hw.errors import UnsupportedError
from sparta_hw.ir import Graph, Kind, Value
from sparta_hw.numerics import FixedPoint
from sparta_hw.printer import print_graph
from sparta_hw.verifier import verify


def with_operation(graph: Graph, at: int, **changes: object) -> Graph:
    operations = list(graph.operations)
    operations[at] = replace(operations[at], **changes)
    return replace(graph, operations=tuple(operations))


def test_accepts_the_small_network(graph: Graph) -> None:
    verify(graph)


def other(value: Value, **changes: object) -> Value:
    return replace(value, **changes)


CASES = {
    "use before definition": (
        lambda g: replace(g, operations=(g.operations[1], g.operations[0], *g.operations[2:])),
        r"stem\.1\.conv: reads 'stem\.0', which no earlier operation writes",
    ),
    "defined twice": (
        lambda g: with_operation(g, 1, output=g.operations[0].output),
        r"stem\.1\.conv: writes 'stem\.0', which already exists",
    ),
    "another type than written": (
        lambda g: with_operation(g, 1, input=other(g.operations[0].output, shape=(5, 3, 3, 4))),
        r"stem\.1\.conv: reads stem\.0: spikes 5x3x3x4 u1\.0, which was written as stem\.0: spikes 5x3x3x3",
    ),
    "nodes of one name": (
        lambda g: with_operation(g, 1, node="stem.0.conv"),
        r"stem\.0\.conv: two operations have this name",
    ),
    "shape of the weight": (
        lambda g: with_operation(g, 0, weight=np.ones((3, 1, 3, 3), np.int64)),
        r"stem\.0\.conv: weight has shape \(3, 1, 3, 3\), not \(3, 2, 3, 3\)",
    ),
    "weight out of range": (
        lambda g: with_operation(g, 0, weight=g.operations[0].weight + 100),
        r"stem\.0\.conv: weight reaches from .*, allowed are -128 to 127",
    ),
    "shape of the output": (
        lambda g: with_operation(g, 0, stride=1),
        r"stem\.0\.conv: stem\.0 has shape \(5, 3, 3, 3\), not \(5, 3, 6, 6\)",
    ),
    "another producer": (
        lambda g: with_operation(g, 4, input=g.operations[2].output),
        r"topk: reads 'first', which is no result of TokenScore",
    ),
    "one head twice": (
        lambda g: with_operation(g, 9, key=g.operations[6].output),
        r"attention: query, key and value are not three different values",
    ),
    "kind": (
        lambda g: with_operation(g, 0, output=other(g.operations[0].output, kind=Kind.INTEGERS)),
        r"stem\.0\.conv: stem\.0 is integers u1\.0, not spikes u1\.0",
    ),
    "leak": (
        lambda g: with_operation(g, 0, leak=np.array([1, 256, 3])),
        r"stem\.0\.conv: leak reaches from 1 to 256, allowed are 1 to 255",
    ),
    "threshold": (
        lambda g: with_operation(g, 0, threshold=np.array([1, 0, 3])),
        r"stem\.0\.conv: threshold reaches from 0 to 3, allowed are 1 to 32767",
    ),
    "soft reset to a level": (
        lambda g: with_operation(g, 1, v_reset=5),
        r"stem\.1\.conv: v_reset is 5, with soft reset it must be 0",
    ),
    "pad": (
        lambda g: with_operation(g, 0, pad=3),
        r"stem\.0\.conv: pad reaches from 3 to 3, allowed are 0 to 2",
    ),
    "shift": (
        lambda g: with_operation(g, 0, shift=32),
        r"stem\.0\.conv: shift reaches from 32 to 32, allowed are 0 to 31",
    ),
    "tables": (
        lambda g: with_operation(g, 3, tables=np.zeros((4, 40), np.int64)),
        r"score: tables has shape \(4, 40\), not \(4, 41\)",
    ),
    "score type": (
        lambda g: with_operation(g, 3, output=other(g.operations[3].output, type=FixedPoint(13, 4))),
        r"score: score is integers s13\.4, not integers s12\.4",
    ),
    "default K": (lambda g: replace(g, default_k=10), r"topk: default K reaches from 10 to 10, allowed"),
    "gain": (lambda g: with_operation(g, 5, alpha=256), r"gate: alpha reaches from 256 to 256, allowed"),
    "bias": (
        lambda g: with_operation(g, 6, bias=np.full(6, 1 << 23)),
        r"query: bias reaches from 8388608 to 8388608, allowed are -8388608 to 8388607",
    ),
    "shift of logits": (
        lambda g: with_operation(g, 11, shift=1),
        r"classifier: shift of logits is 1, they are exact: 0",
    ),
    "missing stage": (
        lambda g: replace(g, operations=g.operations[:-1]),
        r"small: after its SpikingConvs come .* -> TokenPool; the core runs SpikeCues -> .* -> Projection",
    ),
    "no stem": (
        lambda g: replace(g, operations=g.operations[2:]),
        r"small: starts without a SpikingConv",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_finds_the_broken_rule(graph: Graph, case: str) -> None:
    change, message = CASES[case]
    with pytest.raises(UnsupportedError, match=message):
        verify(change(graph))


def test_printer_shows_values_and_numbers(graph: Graph) -> None:
    text = print_graph(graph)
    assert text.startswith(
        "graph small(spikes: spikes 5x2x6x6 u1.0), default K 4\n  stem.0: spikes 5x3x3x3 u1.0\n"
    )
    assert (
        "= SpikingConv stem.0.conv(spikes; weight 3x2x3x3, stride 2, pad 1, shift 1, membrane s16.8" in text
    )
    assert "= SparseAttention attention(query, key, value, score, index; shift 3)" in text
    assert "  first: integers 9 u6.3, interval: integers 9 u6.3" in text
    assert text.count(" = ") == len(graph.operations)
