"""Bench of the attention unit: values equal ``attend`` and the interpreter, in head, rank and feature order."""

from typing import Any

import numpy as np

from sparta_hw.descriptor import Op, encode
from sparta_hw.interpreter.attention import attention
from sparta_hw.ir import SparseAttention, Value
from sparta_hw.numerics import FixedPoint
from sparta_rtl.attention import attend, attention_layout
from sparta_rtl.layouts import mask_layout
from sparta_sim.benches.records import any_value
from sparta_sim.benches.streams import Bench, ReadMemory, Sink, bits_of, unit_test
from sparta_sim.cycles.attention import attend_cycles

BYTE = FixedPoint(8, 0)


async def _attend(
    bench: Bench, rng: np.random.Generator, sink: Sink, topk: int, heads: int, chunks: int, shift: int
) -> None:
    """One layer."""
    dut, config = bench.dut, bench.config
    size = chunks * config.lanes
    query, key, value = qkv = rng.integers(-128, 128, (3, topk, heads * size))
    mask = rng.integers(-2048, 2048, topk) >> rng.integers(0, 8)
    temporal = rng.integers(-2048, 2048, topk)
    temperature = rng.integers(0, 256, 128) if rng.integers(2) else None
    sharpness = np.full(topk, 64) if temperature is None else temperature[(temporal >> 5) + 64]
    names = (Value(name, (topk, heads * size), BYTE) for name in ("q", "k", "v", "o"))
    op = SparseAttention(
        **dict(zip(("query", "key", "value", "output"), names, strict=True)),
        node="attention",
        msp=any_value("msp", topk),
        temporal=any_value("temporal", topk),
        index=any_value("index", topk),
        group=None,
        heads=heads,
        shift=shift,
        temperature=temperature,
    )
    expected = attention(op, tuple(qkv[:, None]), mask[None], temporal[None], np.array([topk]))[0]

    for name, rows in (("query", query), ("key", key), ("value", value)):
        packed = rows.astype(np.int8).reshape(-1, config.lanes)
        await bench.write(name, [int.from_bytes(row.tobytes(), "little") for row in packed])
    listed = mask_layout(config)
    pairs = zip(mask.tolist(), sharpness.tolist(), strict=True)
    memory = ReadMemory(bench, "masks", [bits_of(listed, {"mask": m, "sharpness": g}) for m, g in pairs])
    dut.topk.value = topk
    fields = {"pitch": heads * chunks, "chunks": chunks, "shift": shift}
    dut.layer.value = encode(Op.ATTEND, "bench", **fields)
    cycles = await bench.execute()
    formula = attend_cycles(config, fields | {"to_tokens": 0}, topk)
    assert cycles >= formula if bench.stall else cycles == formula

    layout = attention_layout(config)
    found = [layout.from_bits(item) for item in sink.items]
    sink.items.clear()
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        mixed = attend(query[:, part], key[:, part], value[:, part], mask, sharpness, shift)
        np.testing.assert_array_equal(mixed, expected[:, part])
        of_head = found[head * mixed.size : (head + 1) * mixed.size]
        assert [(o.rank, o.feature) for o in of_head] == [
            (rank, part.start + e) for rank in range(topk) for e in range(size)
        ]
        assert [o.value for o in of_head] == mixed.ravel().tolist()
    assert len(found) == topk * heads * size
    memory.stop()


@unit_test
async def values_equal_reference(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    rng, sink = np.random.default_rng(bench.rng.getrandbits(32)), Sink(bench, "o")
    most = bench.config.max_features // bench.config.lanes
    for topk, heads, chunks in ((1, 1, 1), (2, 1, most), (3, most, 1), (bench.config.max_topk, 1, most)):
        await _attend(bench, rng, sink, topk, heads, chunks, shift=6)
    for shift in (0, 9, 31):
        topk, heads = (int(rng.integers(1, limit + 1)) for limit in (bench.config.max_topk, most))
        await _attend(bench, rng, sink, topk, heads, int(rng.integers(1, most // heads + 1)), shift)
