"""Bench of the selection unit: tokens equal ``TopKParams.compute``, and come ``first_cycles`` after ``emit``."""

from random import Random
from typing import Any

from sparta_rtl.topk import TopKParams
from sparta_rtl.topk_units import TOPK_UNITS, topk_params
from sparta_sim.benches.streams import Bench, Sink, unit_test


def _searches(rng: Random, params: TopKParams, tokens: int) -> list[tuple[list[int], int]]:
    """Wide, narrow (many ties), equal, rising and falling keys, with K from 1 to all."""
    low, high = -(1 << params.key_bits - 1), (1 << params.key_bits - 1) - 1
    lists = [[rng.randint(low, high) for _ in range(rng.randint(1, tokens))] for _ in range(8)]
    lists += [[rng.randint(-1, 1) for _ in range(tokens)] for _ in range(8)]
    lists += [[low] * tokens, [high] * tokens, sorted(lists[0]), sorted(lists[8])[::-1]]
    return [(keys, rng.randint(1, min(params.cells, len(keys)))) for keys in lists]


@unit_test
async def selection_equals_reference(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    params, sink = topk_params(bench.config), Sink(bench, "o")
    unit, bits = TOPK_UNITS[bench.config.topk], (1 << params.key_bits) - 1
    for keys, count in _searches(bench.rng, params, params.tokens):
        dut.clear.value = 1
        await bench.tick()
        dut.clear.value = 0
        await bench.send("i", [key & bits for key in keys[:-1]])
        while bench.pauses():
            await bench.tick()
        dut.i__payload.value, dut.i__valid.value = keys[-1] & bits, 1
        dut.count.value, dut.emit.value = count, 1
        await bench.tick()
        emitted, first = bench.cycle, unit.first_cycles(params, len(keys), count)
        dut.i__valid.value = dut.emit.value = 0
        await bench.tick(first + count + 1)
        listed = [params.ranked_layout.from_bits(item) for item in sink.items]
        best = params.compute(keys, count)
        assert [item.index for item in listed] == (best if bench.config.topk == "sorter" else sorted(best))
        assert [item.rank for item in listed] == list(range(count))
        assert [item.last for item in listed] == [0] * (count - 1) + [1]
        assert sink.cycles == [emitted + first + rank for rank in range(count)]
        sink.items.clear()
        sink.cycles.clear()
