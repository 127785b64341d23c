"""Bench of the attention unit: values equal ``attend`` and the interpreter, in rank and feature order."""

from typing import Any

import numpy as np

from sparta_hw.descriptor import Op, encode
from sparta_hw.interpreter.attention import attention
from sparta_hw.ir import Kind, SparseAttention, Value
from sparta_hw.numerics import FixedPoint
from sparta_rtl.attention import attend, attention_layout
from sparta_sim.benches.streams import Bench, ReadMemory, Sink, unit_test
from sparta_sim.cycles.attention import attend_cycles

BYTE, SCORE = FixedPoint(8, 0), FixedPoint(12, 4)


def _operation(topk: int, features: int, shift: int) -> SparseAttention:
    query, key, value, output = (Value(name, (topk, features), BYTE) for name in ("q", "k", "v", "o"))
    index = Value("index", (topk,), FixedPoint(8, 0, False), Kind.INDEX)
    score = Value("score", (topk,), SCORE)
    return SparseAttention(
        node="attention",
        output=output,
        query=query,
        key=key,
        value=value,
        score=score,
        index=index,
        shift=shift,
    )


async def _attend(
    bench: Bench, rng: np.random.Generator, sink: Sink, topk: int, chunks: int, shift: int
) -> None:
    dut, config = bench.dut, bench.config
    query, key, value = rng.integers(-128, 128, (3, topk, chunks * config.lanes))
    scores = rng.integers(-2048, 2048, topk) >> rng.integers(0, 8)
    expected = attend(query, key, value, scores, shift)
    op = _operation(topk, chunks * config.lanes, shift)
    np.testing.assert_array_equal(
        expected, attention(op, query[None], key[None], value[None], scores[None])[0]
    )

    for name, rows in (("query", query), ("key", key), ("value", value)):
        packed = rows.astype(np.int8).reshape(-1, config.lanes)
        await bench.write(name, [int.from_bytes(row.tobytes(), "little") for row in packed])
    memory = ReadMemory(bench, "scores", (scores & 0xFFF).tolist())
    fields = {"chunks": chunks, "shift": shift}
    dut.layer.value = encode(Op.ATTEND, "bench", **fields)
    dut.topk.value = topk
    cycles = await bench.execute()
    memory.stop()
    formula = attend_cycles(config, fields, topk)
    assert cycles >= formula if bench.stall else cycles == formula

    layout = attention_layout(config)
    found = [layout.from_bits(item) for item in sink.items]
    assert [(o.rank, o.feature) for o in found] == [
        (k, e) for k in range(topk) for e in range(expected.shape[1])
    ]
    assert [o.value for o in found] == expected.ravel().tolist()
    sink.items.clear()


@unit_test
async def values_equal_reference(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    rng, sink = np.random.default_rng(bench.rng.getrandbits(32)), Sink(bench, "o")
    most = bench.config.max_features // bench.config.lanes
    for topk, chunks in ((1, 1), (2, most), (3, 1), (bench.config.max_topk, most)):
        await _attend(bench, rng, sink, topk, chunks, shift=6)
    for shift in (0, 9, 31):
        topk, chunks = (int(rng.integers(1, limit + 1)) for limit in (bench.config.max_topk, most))
        await _attend(bench, rng, sink, topk, chunks, shift)
