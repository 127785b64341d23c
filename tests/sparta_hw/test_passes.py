import re
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from sparta_hw.commands import compile as compile_command
from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_hw.errors import CapacityError
from sparta_hw.interpreter.attention import projection
from sparta_hw.interpreter.frames import by_step
from sparta_hw.interpreter.spiking import convolution
from sparta_hw.ir import FuseScores, Graph, Operation, Projection, SpikingConv, TokenMLP
from sparta_hw.onnx_import import import_model
from sparta_hw.passes import Range, compile_graph, plan_graph
from tests.sparta_hw.graphs import random_graph, random_input, with_operation

TINY = NAMED_CONFIGS["tiny"]

PLAIN: dict[str, Any] = {
    "coding": "spikes",
    "steps": 5,
    "size": 3,
    "branches": False,
    "features": 6,
    "tokens": None,
    "fusion": False,
    "dynamic_k": False,
    "timing": False,
    "priority": False,
    "heads": 1,
    "layers": 1,
    "feedback": False,
    "default_k": 4,
}
WHOLE: dict[str, Any] = {
    "size": 4,
    "steps": 5,
    "branches": True,
    "tokens": 12,
    "fusion": True,
    "spatial": True,
    "dynamic_k": True,
    "priority": True,
    "heads": 2,
    "layers": 2,
    "feedback": True,
    "default_k": 0,
}


@pytest.fixture
def plain() -> Graph:
    """Nine tokens of six features, nothing optional."""
    return random_graph(5, **PLAIN)


@pytest.fixture
def whole() -> Graph:
    """Twelve tokens out of sixteen, every part."""
    return random_graph(5, **WHOLE)


def operation(graph: Graph, node: str) -> Any:
    return next(op for op in graph.operations if op.node == node)


def weighted(graph: Graph) -> list[Operation]:
    return [op for op in graph.operations if isinstance(op, SpikingConv | Projection)]


def full_weight(graph: Graph, node: str, total: int) -> Graph:
    """Channel 0 of a layer has weights that add up to ``total``, all others are zero."""
    op = operation(graph, node)
    row = np.zeros(op.weight[0].size, np.int64)
    sign, limit = (1, 127) if total > 0 else (-1, 128)
    for n in range(len(row)):
        row[n] = sign * min(limit, abs(total) - abs(int(row.sum())))
    assert row.sum() == total
    weight = np.zeros(op.weight.shape, np.int64)
    weight[0] = row.reshape(weight[0].shape)
    return with_operation(graph, node, weight=weight, bias=np.zeros(len(weight), np.int64))


def entry(ranges: tuple[Range, ...], node: str, quantity: str) -> Range:
    return next(entry for entry in ranges if entry.node == node and entry.quantity == quantity)


@pytest.mark.parametrize(("fits", "too_much"), [(1023, 1024), (-1024, -1025)])
def test_accumulator_at_the_bound(plain: Graph, fits: int, too_much: int) -> None:
    config = replace(TINY, acc_bits=11)
    for op in weighted(plain):
        plain = full_weight(plain, op.node, 100)
    node = "stem.0.conv"
    found = entry(plan_graph(full_weight(plain, node, fits), config).ranges, node, "accumulator")
    assert (found.low, found.high, found.bits, found.available) == (min(fits, 0), max(fits, 0), 11, 11)
    message = rf"{node}: accumulator reaches from .*: 12 bits, acc_bits is 11; use a core with acc_bits of at least 12"
    with pytest.raises(CapacityError, match=message):
        compile_graph(full_weight(plain, node, too_much), config)


def test_recombined_sum_at_the_bound(plain: Graph) -> None:
    # pooled is s8: the largest sum is -128 * -128 * 6.
    config = replace(TINY, sum_bits=18)
    for node in ("query.0", "key.0", "value.0"):
        plain = full_weight(plain, node, 127)
    weight = np.zeros(operation(plain, "classifier").weight.shape, np.int64)
    weight[0] = -128
    bias = np.zeros(len(weight), np.int64)
    bias[0] = (1 << 17) - 1 - 128 * 128 * 6
    assert compile_graph(with_operation(plain, "classifier", weight=weight, bias=bias), config)
    with pytest.raises(
        CapacityError, match=r"classifier: sum of bit planes .* to 131072: 19 bits, sum_bits is 18"
    ):
        compile_graph(with_operation(plain, "classifier", weight=weight, bias=bias + 1), config)


def test_pixels_reach_255(plain: Graph) -> None:
    graph = random_graph(5, **{**PLAIN, "coding": "direct"})
    op = operation(graph, "stem.0.conv")
    found = entry(plan_graph(graph, TINY).ranges, op.node, "sum with bias")
    highest = (np.maximum(op.weight, 0).sum(axis=(1, 2, 3)) * 255 + np.maximum(op.bias, 0)).max()
    assert found.high == highest


def test_pool_at_the_bound(plain: Graph) -> None:
    gate = operation(plain, "gate")
    plain = with_operation(plain, "gate", alpha=80, beta=3, shift=2)
    plain = with_operation(plain, "pool", token_shift=1, attention_shift=2)
    assert not gate.output.type.signed
    # 9 tokens of at most 5 * 80 >> 2 = 100, 9 attention rows of -128 to 127.
    found = entry(plan_graph(plain, TINY).ranges, "pool", "pooled sum")
    assert (found.low, found.high) == (-128 * 9 << 2, (9 * 100 << 1) + (127 * 9 << 2))
    with pytest.raises(
        CapacityError, match=r"pool: pooled sum .*: \d\d bits, pool_bits is 28; use coarser grids"
    ):
        compile_graph(with_operation(plain, "pool", token_shift=19), TINY)


def test_timing_raises_the_largest_token(plain: Graph) -> None:
    plain = with_operation(plain, "gate", alpha=80, beta=3, shift=2, timing=np.full(128, 96))
    plain = with_operation(plain, "pool", token_shift=0, attention_shift=0)
    found = entry(plan_graph(plain, TINY).ranges, "pool", "pooled sum")
    assert found.high == 9 * (5 * (80 * 96 >> 6) >> 2) + 127 * 9


def test_mlp_bounds(whole: Graph) -> None:
    mlp = next(op.mlp for op in whole.operations if isinstance(op, FuseScores))
    assert isinstance(mlp, TokenMLP)
    corners = np.array(np.meshgrid(*[[-2048, 2047]] * 3)).reshape(3, -1)
    sums = mlp.hidden_weight @ corners + mlp.hidden_bias[:, None]
    found = entry(plan_graph(whole, TINY).ranges, "score", "hidden sum of the MLP")
    assert found.low <= sums.min() < sums.max() <= found.high
    assert found.high <= sums.max() + abs(mlp.hidden_bias).max()
    assert (found.available, found.limit) == (32, "token MLP")
    nodes = {line.node for line in plan_graph(whole, TINY).ranges if line.limit == "token MLP"}
    assert nodes == {"score", "dynamic_k", "priority"}


@pytest.mark.parametrize("seed", range(6))
def test_bounds_hold_for_every_sum(seed: int) -> None:
    """Sums of random inputs and of the worst input lie within the bounds, and the worst input reaches them."""
    graph = random_graph(seed, coding="spikes")
    ranges, rng = plan_graph(graph, TINY).ranges, np.random.default_rng(seed)
    for op in weighted(graph):
        found = entry(ranges, op.node, "accumulator")
        weight = op.weight.reshape(len(op.weight), -1)  # type: ignore[attr-defined]
        planes = (rng.random((50, 1, weight.shape[1])) < 0.5).astype(np.int64)
        partial = np.cumsum(weight * planes, axis=-1)
        assert found.low <= partial.min()
        assert partial.max() <= found.high
        worst = (weight[:, None] * (weight > 0)).sum(-1).max(), (weight[:, None] * (weight < 0)).sum(-1).min()
        assert (found.high, found.low) == worst


def test_bounds_hold_in_the_interpreter() -> None:
    graph = random_graph(1, **{**PLAIN, "layers": 2})
    ranges = plan_graph(graph, TINY).ranges
    conv, hidden = operation(graph, "stem.0.conv"), operation(graph, "hidden.0")
    frames = by_step(random_input(graph, 1, 6), conv.pad)
    sums = convolution(conv, frames.reshape(-1, *frames.shape[2:]))
    found = entry(ranges, conv.node, "accumulator")
    assert found.low <= sums.min()
    assert sums.max() <= found.high
    x = np.random.default_rng(0).integers(-128, 128, (2, 9, 4, 6))
    exact = projection(replace(hidden, output=replace(hidden.output, shape=(6,))), (x[0], x[1]))
    found = entry(ranges, hidden.node, "sum of bit planes")
    assert found.low <= exact.min()
    assert exact.max() <= found.high


def test_range_report_names_every_layer(whole: Graph) -> None:
    ranges = plan_graph(whole, TINY).ranges
    accumulators = [line.node for line in ranges if line.limit == "acc_bits"]
    assert accumulators == [op.node for op in weighted(whole)]
    assert all(line.bits <= line.available for line in ranges)
    assert "of 18 bits (acc_bits)" in str(ranges[1])
    assert str(ranges[1]).startswith("stem.0.conv: accumulator -")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"max_steps": 4},
            r"stem\.0\.conv: 5 time steps, max_steps is 4; use a core with max_steps of at least 5",
        ),
        (
            {"max_tokens": 15, "max_topk": 15},
            r"msp: 16 grid tokens, max_tokens is 15; use a core with max_tokens of at least 16",
        ),
        ({"max_topk": 11}, r"group: 12 tokens to group, max_topk is 11"),
        (
            {"topk": "radix"},
            r"group: grouping needs an order, topk is 'radix'; use a core with topk 'sorter'",
        ),
        ({"max_features": 31}, r"gate: 32 features of a token, max_features is 31"),
        ({"scales": 2}, r"msp: 3 scales, scales is 2; use a core with scales of at least 3"),
        ({"layers": 9}, r"random5: \d\d descriptors, layers is 9; use a core with layers of at least \d\d"),
        (
            {"line": 16},
            r"\w+: 8 channels of a branch, .* multiple of line \(16\); .* or a branch of 16 channels",
        ),
        (
            {"lanes": 32, "line": 32},
            r"attention\.0: 16 features of a head, which must be a multiple of lanes \(32\); use fewer heads",
        ),
        (
            {"weight_rows": 200},
            r"random5: \d+ weight rows, weight_rows of core 'short' is 200 \(the largest layer, ",
        ),
        (
            {"spike_lines": 20},
            r"random5: \d+ lines of .* with reuse, spike_lines of core 'short' is 20 \(the largest",
        ),
    ],
)
def test_says_what_does_not_fit(whole: Graph, limits: dict[str, Any], message: str) -> None:
    assert compile_graph(whole, TINY)
    with pytest.raises(CapacityError, match=message):
        compile_graph(whole, replace(TINY, name="short", **limits))


def test_default_k_fits_the_sorter(plain: Graph) -> None:
    with pytest.raises(CapacityError, match=r"topk: 4 selected tokens \(default K\), max_topk is 3"):
        compile_graph(plain, replace(TINY, max_topk=3))


def test_dynamic_k_fits_the_sorter() -> None:
    graph = random_graph(5, **{**PLAIN, "dynamic_k": True, "default_k": 0})
    graph = with_operation(graph, "dynamic_k", table=np.arange(256) % 7 + 1)
    assert compile_graph(graph, replace(TINY, max_topk=7))
    with pytest.raises(CapacityError, match=r"dynamic_k: 7 tokens at most \(dynamic K\), max_topk is 6"):
        compile_graph(graph, replace(TINY, max_topk=6))


def test_silent_lanes_stay_below_a_lowered_threshold() -> None:
    graph = random_graph(5, **{**PLAIN, "feedback": True})
    op = operation(graph, "stem.0.conv")
    feedback = replace(op.feedback, limit=4095)
    graph = with_operation(graph, op.node, soft_reset=False, v_reset=32767 - 4095 - 1, feedback=feedback)
    assert compile_graph(graph, TINY)
    graph = with_operation(graph, op.node, v_reset=32767 - 4095)
    with pytest.raises(
        CapacityError, match="v_reset is 28672, with a feedback limit of 4095 it must be below 28672"
    ):
        compile_graph(graph, TINY)


@pytest.mark.parametrize("field", ["weight_rows", "spike_lines", "layers", "max_features"])
def test_the_advice_is_right(whole: Graph, field: str) -> None:
    def core(size: int) -> CoreConfig:
        sizes: dict[str, Any] = {field: size}
        return replace(TINY, **sizes)

    with pytest.raises(CapacityError) as caught:
        compile_graph(whole, core(2))
    advice = int(str(caught.value).split("of at least ")[1].split(",")[0])
    assert compile_graph(whole, core(advice))
    with pytest.raises(CapacityError):
        compile_graph(whole, core(advice - 1))


def test_lists_all_limits_at_once(whole: Graph) -> None:
    with pytest.raises(CapacityError) as caught:
        compile_graph(whole, replace(TINY, max_steps=2, max_features=2, scales=1, line=16, lanes=16))
    text = str(caught.value)
    assert all(
        part in text for part in ("time steps", "features of a token", "scales", "channels of a branch")
    )


def test_a_number_too_large_for_its_descriptor_field() -> None:
    graph = random_graph(0, **{**WHOLE, "size": 32, "layers": 1, "cells": 2})
    core = replace(TINY, max_tokens=1024, spike_lines=1 << 16, weight_rows=1 << 18)
    message = r"context\.conv: kernel_height \(rows of the window\) is 16, a descriptor holds 0 to 15"
    with pytest.raises(CapacityError, match=message):
        compile_graph(graph, core)


NAMED: dict[str, dict[str, Any]] = {
    "nmnist": {
        "image": (2, 34, 34),
        "stem": ((16, 5, 2, 2), (32, 3, 2, 1)),
        "size": 9,
        "widths": (16, 32, 16),
        "cells": 3,
        "tokens": 64,
        "steps": 16,
    },
    "gesture": {
        "image": (2, 128, 128),
        "stem": ((16, 5, 4, 2), (32, 3, 2, 1)),
        "size": 16,
        "widths": (16, 32, 16),
        "cells": 4,
        "tokens": None,
        "steps": 20,
    },
    "cifar10": {
        "coding": "direct",
        "image": (3, 32, 32),
        "stem": ((32, 3, 1, 1), (64, 3, 2, 1), (128, 3, 2, 1)),
        "size": 8,
        "widths": (32, 64, 32),
        "cells": 2,
        "tokens": None,
        "heads": 4,
        "steps": 4,
    },
    "paper": {
        "image": (2, 128, 128),
        "stem": ((64, 3, 2, 1), (128, 3, 2, 1), (256, 3, 2, 1)),
        "size": 16,
        "widths": (128, 256, 128),
        "cells": 4,
        "tokens": None,
        "heads": 8,
        "layers": 10,
        "steps": 16,
    },
}


@pytest.mark.parametrize("name", NAMED)
def test_named_cores_hold_networks_of_their_size(name: str) -> None:
    graph = random_graph(0, **{**WHOLE, "coding": "spikes", **NAMED[name]})
    start = perf_counter()
    program = compile_graph(graph, NAMED_CONFIGS[name])
    seconds = perf_counter() - start
    assert seconds < 20
    parameters = sum(op.weight.size for op in weighted(graph))  # type: ignore[attr-defined]
    assert (parameters > 13_800_000) == (name == "paper")
    assert len(program.weights) * program.config.lanes > parameters


def test_compile_prints_the_bound_of_every_layer(
    model: ModelProto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(model.SerializeToString())
    compile_command.run(Namespace(model=path, core="tiny", output=tmp_path / "out", dense=False))
    *bounds, last = capsys.readouterr().out.splitlines()
    graph = import_model(path)
    assert [line.split(":")[0] for line in bounds] == [op.node for op in weighted(graph)]
    assert all(re.search(r"accumulator -?\d+ to \d+, \d+ of 18 bits \(acc_bits\)$", line) for line in bounds)
    assert last.startswith("compiled small for core tiny: ")
    written = (tmp_path / "out" / "ranges.txt").read_text().splitlines()
    assert set(bounds) < set(written) == {str(entry) for entry in plan_graph(graph, TINY).ranges}
