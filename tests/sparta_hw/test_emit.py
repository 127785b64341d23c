"""Programs mean what the interpreter says: a machine that knows only memories and descriptors runs them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_hw.descriptor import decode
from sparta_hw.ir import Graph
from sparta_hw.passes import compile_graph
from tests.sparta_hw.memory_machine import check

TINY, DIGITS = NAMED_CONFIGS["tiny"], NAMED_CONFIGS["digits"]
WIDE = CoreConfig(name="wide", lanes=2, steps=3, line=16, max_features=16, layers=12)


@pytest.mark.parametrize("config", [TINY, DIGITS, WIDE], ids=lambda config: config.name)
@pytest.mark.parametrize(("seed", "k"), [(0, 4), (1, 1), (2, 9)])
def test_memories_hold_the_network(
    make_model: Callable, load: Callable, spikes: np.ndarray, config: CoreConfig, seed: int, k: int
) -> None:
    graph = load(make_model(seed))
    check(graph, compile_graph(graph, config), spikes[2], k)


def test_reused_lines_hold_the_network(graph: Graph, spikes: np.ndarray) -> None:
    apart = compile_graph(graph, TINY)
    needed = max(place.base + place.lines for place in apart.tensors.values())
    config = replace(TINY, spike_lines=needed - 10)
    program = compile_graph(graph, config)
    assert max(place.base + place.lines for place in program.tensors.values()) <= needed - 10
    assert program.input.base == 0
    check(graph, program, spikes[3], 4)


def test_a_wrong_weight_row_is_seen(graph: Graph, spikes: np.ndarray) -> None:
    program = compile_graph(graph, TINY)
    weights = program.weights.copy()
    weights[6:24] = weights[6:24][::-1]
    with pytest.raises(AssertionError):
        check(graph, replace(program, weights=weights), spikes[2], 4)


def test_order_of_descriptors(graph: Graph) -> None:
    program = compile_graph(graph, TINY)
    kinds = [decode(word)["op"].name for word in program.descriptors]
    attention = ["LAYER", "LAYER", "LAYER", "ATTEND", "POOL", "LAYER", "END"]
    assert kinds == ["LAYER", "LAYER", "SELECT", "GATE", *attention]
    assert [decode(word)["id"] for word in program.descriptors] == list(range(11))
    assert program.nodes[0] == "stem.0.conv"
