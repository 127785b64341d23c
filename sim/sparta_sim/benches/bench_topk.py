"""Bench of the sorter: ranks equal ``TopKParams.compute``, rank r two cycles and r after ``emit``."""

from random import Random
from typing import Any

from sparta_rtl.topk import TopKParams
from sparta_sim.benches.streams import Bench, Sink, bits_of, unit_test
from sparta_sim.benches.units import sorter_params


def _searches(rng: Random, params: TopKParams, tokens: int) -> list[tuple[list[int], int]]:
    """Wide, narrow (many ties), equal, rising and falling keys, with K from 1 to all."""
    low, high = -(1 << params.key_bits - 1), (1 << params.key_bits - 1) - 1
    lists = [[rng.randint(low, high) for _ in range(rng.randint(1, tokens))] for _ in range(8)]
    lists += [[rng.randint(-1, 1) for _ in range(tokens)] for _ in range(8)]
    lists += [[low] * tokens, [high] * tokens, sorted(lists[0]), sorted(lists[8])[::-1]]
    return [(keys, rng.randint(1, min(params.cells, len(keys)))) for keys in lists]


@unit_test
async def ranks_equal_reference(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    params, sink = sorter_params(bench.config), Sink(bench, "o")
    for keys, count in _searches(bench.rng, params, bench.config.max_tokens):
        dut.clear.value = 1
        await bench.tick()
        dut.clear.value = 0
        tokens = [bits_of(params.token_layout, {"key": key, "index": n}) for n, key in enumerate(keys)]
        await bench.send("i", tokens[:-1])
        while bench.pauses():
            await bench.tick()
        dut.i__payload.value, dut.i__valid.value = tokens[-1], 1
        dut.count.value, dut.emit.value = count, 1
        await bench.tick()
        emitted = bench.cycle
        dut.i__valid.value = dut.emit.value = 0
        await bench.tick(count + 3)
        ranked = [params.ranked_layout.from_bits(item) for item in sink.items]
        assert [item.token.index for item in ranked] == params.compute(keys, count)
        assert [item.token.key for item in ranked] == [keys[item.token.index] for item in ranked]
        assert [item.rank for item in ranked] == list(range(count))
        assert [item.last for item in ranked] == [0] * (count - 1) + [1]
        assert sink.cycles == [emitted + 2 + rank for rank in range(count)]
        sink.items.clear()
        sink.cycles.clear()
