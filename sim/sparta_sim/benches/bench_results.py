"""Bench of the result port: the logits that exist, in order, one a cycle, the last one marked."""

from typing import Any

from sparta_rtl.layouts import value_item_layout
from sparta_sim.benches.streams import Bench, Sink, bits_of, unit_test


@unit_test
async def every_logit_once_and_the_last_is_marked(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    config, sink = bench.config, Sink(bench, "o")
    lanes, limit = config.lanes, 1 << config.sum_bits - 1
    for outputs in (1, lanes, lanes + 1, 3 * lanes - 1, *(bench.rng.randint(1, 40) for _ in range(8))):
        logits = [bench.rng.randint(-limit, limit - 1) for _ in range(outputs)]
        tiles = -(-outputs // lanes)
        padded = logits + [99] * (tiles * lanes - outputs)
        items = [
            {"position": 0, "tile": tile, "values": padded[tile * lanes : (tile + 1) * lanes]}
            for tile in range(tiles)
        ]
        dut.outputs.value = outputs
        accepted = await bench.send("i", [bits_of(value_item_layout(config), item) for item in items])
        while len(sink.items) < outputs:
            await bench.tick()
            assert not int(dut.idle.value) or len(sink.items) == outputs
        await bench.tick(lanes)
        assert int(dut.idle.value)
        expected = [logit & 0xFFFFFFFF for logit in logits]
        expected[-1] |= 1 << 32
        assert sink.items == expected
        if not stall:
            assert accepted == [accepted[0] + tile * (lanes + 1) for tile in range(tiles)]
            assert sink.cycles == [accepted[n // lanes] + 1 + n % lanes for n in range(outputs)]
        sink.items.clear()
        sink.cycles.clear()
