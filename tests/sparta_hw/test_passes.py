from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_hw.errors import CapacityError
from sparta_hw.ir import Graph, Operation, Projection, SpikingConv, TokenScore
from sparta_hw.passes import compile_graph, plan_graph

TINY = NAMED_CONFIGS["tiny"]


def with_operation(graph: Graph, at: int, **changes: object) -> Graph:
    operations: list[Operation] = list(graph.operations)
    operations[at] = replace(operations[at], **changes)
    return replace(graph, operations=tuple(operations))


def full_weight(graph: Graph, at: int, total: int) -> Graph:
    """Channel 0 of a layer has weights that add up to ``total``, all others are zero."""
    op = graph.operations[at]
    assert isinstance(op, SpikingConv | Projection)
    weight = np.zeros(op.weight.shape, np.int64)
    row = weight[0].reshape(-1)
    sign = 1 if total > 0 else -1
    limit = 127 if total > 0 else 128
    for n in range(len(row)):
        row[n] = sign * min(limit, abs(total) - abs(int(row.sum())))
    assert row.sum() == total
    return with_operation(graph, at, weight=weight, bias=np.zeros(len(op.weight), np.int64))


@pytest.mark.parametrize(("fits", "too_much", "bits"), [(2047, 2048, 13), (-2048, -2049, 13)])
def test_accumulator_at_the_bound(graph: Graph, fits: int, too_much: int, bits: int) -> None:
    config = replace(TINY, acc_bits=12)
    others = dict.fromkeys((0, 6, 7, 8, 11), (0, 0))
    for at in others:
        graph = full_weight(graph, at, 100)
    plan = plan_graph(full_weight(graph, 1, fits), config)
    entry = next(entry for entry in plan.ranges if entry.node == "stem.1.conv")
    assert (entry.low, entry.high, entry.bits, entry.available) == (min(fits, 0), max(fits, 0), 12, 12)
    message = rf"stem\.1\.conv: accumulator reaches from .*: {bits} bits, acc_bits is 12; use a core with "
    message += f"acc_bits of at least {bits}, or train"
    with pytest.raises(CapacityError, match=message):
        compile_graph(full_weight(graph, 1, too_much), config)


def test_recombined_sum_at_the_bound(graph: Graph) -> None:
    # pooled is s8: the smallest sum is -128 * 6 * 127, the largest -128 * -128 * 6.
    config = replace(TINY, sum_bits=18)
    for at in (6, 7, 8):
        graph = full_weight(graph, at, 127)
    weight = np.zeros((3, 6), np.int64)
    weight[0] = -128
    bias = np.zeros(3, np.int64)
    bias[0] = (1 << 17) - 1 - 128 * 128 * 6
    assert compile_graph(with_operation(graph, 11, weight=weight, bias=bias), config)
    bias = bias + 1
    with pytest.raises(
        CapacityError, match=r"classifier: sum of bit planes .* to 131072: 19 bits, sum_bits is 18"
    ):
        compile_graph(with_operation(graph, 11, weight=weight, bias=bias), config)


def test_score_at_the_bound(graph: Graph) -> None:
    tables = np.zeros((4, 41), np.int64)
    tables[:, 3] = 512, 512, 512, 511
    assert compile_graph(with_operation(graph, 3, tables=tables), TINY)
    tables = tables.copy()
    tables[3, 9] = 512
    assert isinstance(graph.operations[3], TokenScore)
    with pytest.raises(
        CapacityError, match="score: score reaches from 0 to 2048: 13 bits, score_bits is 12; limit"
    ):
        compile_graph(with_operation(graph, 3, tables=tables), TINY)


def test_pool_at_the_bound(graph: Graph) -> None:
    # 9 tokens of at most 5 * 80 >> 2 = 100 on grid 2^-4, 9 attention rows of -128 to 127.
    plan = plan_graph(graph, TINY)
    entry = next(entry for entry in plan.ranges if entry.quantity == "pooled sum")
    assert (entry.low, entry.high) == (-128 * 9, (9 * 100 << 1) + 127 * 9)
    with pytest.raises(
        CapacityError, match=r"pool: pooled sum .*: \d\d bits, pool_bits is 28; use coarser grids"
    ):
        compile_graph(with_operation(graph, 10, token_shift=19), TINY)


def test_bounds_hold_for_every_partial_sum(graph: Graph, spikes: np.ndarray) -> None:
    plan = plan_graph(graph, TINY)
    entry = next(
        entry for entry in plan.ranges if entry.node == "stem.0.conv" and entry.quantity == "accumulator"
    )
    weight = graph.operations[0].weight.reshape(3, -1)
    partial = np.cumsum(weight * (np.random.default_rng(0).random((50, 1, weight.shape[1])) < 0.5), axis=-1)
    assert entry.low <= partial.min() < partial.max() <= entry.high
    assert (entry.low, entry.high) == (np.minimum(weight, 0).sum(1).min(), np.maximum(weight, 0).sum(1).max())


def test_range_report_names_every_layer(graph: Graph) -> None:
    lines = [str(entry) for entry in plan_graph(graph, TINY).ranges]
    nodes = {line.split(":")[0] for line in lines}
    assert nodes == {
        "stem.0.conv",
        "stem.1.conv",
        "score",
        "query",
        "key",
        "value",
        "attention",
        "pool",
        "classifier",
    }
    assert any(
        line.startswith("stem.0.conv: accumulator ") and "of 18 bits (acc_bits)" in line for line in lines
    )


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_steps": 4}, r"spikes: 5 time steps, max_steps is 4; use a core with max_steps of at least 5"),
        (
            {"max_tokens": 8, "max_topk": 8},
            r"cues: 9 tokens, max_tokens is 8; use a core with max_tokens of at least 9",
        ),
        ({"max_topk": 3}, r"topk: 4 selected tokens \(default K\), max_topk is 3"),
        ({"max_features": 5}, r"gate: 6 features of a token, max_features is 5"),
        ({"layers": 10}, r"small: 11 descriptors, layers is 10; use a core with layers of at least 11"),
        (
            {"weight_rows": 200},
            r"small: \d+ weight rows, weight_rows of core 'short' is 200 \(the largest layer, stem\.1",
        ),
        (
            {"spike_lines": 20},
            r"small: \d+ lines of .* with reuse, spike_lines of core 'short' is 20 \(the largest",
        ),
    ],
)
def test_says_what_does_not_fit(graph: Graph, limits: dict[str, int], message: str) -> None:
    with pytest.raises(CapacityError, match=message):
        compile_graph(graph, replace(TINY, name="short", **limits))


def test_the_advice_is_right(graph: Graph) -> None:
    for field in ("weight_rows", "spike_lines"):
        with pytest.raises(CapacityError) as caught:
            compile_graph(graph, replace(TINY, **{field: 20}))
        advice = int(str(caught.value).split("of at least ")[1].split(",")[0])
        assert compile_graph(graph, replace(TINY, **{field: advice}))
        with pytest.raises(CapacityError):
            compile_graph(graph, replace(TINY, **{field: advice - 1}))


def test_lists_all_limits_at_once(graph: Graph) -> None:
    with pytest.raises(CapacityError) as caught:
        compile_graph(graph, replace(TINY, max_steps=2, max_features=2))
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize("config", [TINY, NAMED_CONFIGS["digits"]], ids=lambda config: config.name)
def test_regions_are_apart_when_they_fit(graph: Graph, config: CoreConfig) -> None:
    regions = sorted(
        (place.base, place.base + place.lines) for place in compile_graph(graph, config).tensors.values()
    )
    regions = [region for region in regions if region[0] != region[1]]
    assert regions[0][0] == 0
    assert all(end <= start for (_, end), (start, _) in pairwise(regions))
    assert len(regions) == 5
