"""Bench of the count unit: every neuron's spikes over time, in order, one count a cycle, the last one marked."""

from typing import Any

from sparta_rtl.layouts import spike_item_layout
from sparta_sim.benches.streams import Bench, Sink, bits_of, unit_test


@unit_test
async def every_count_once_and_the_last_is_marked(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    config, sink, rng = bench.config, Sink(bench, "o"), bench.rng
    layout, each = spike_item_layout(config), config.fire_lanes
    for slots in (1, config.fire_share, *(rng.randint(1, config.fire_share) for _ in range(6))):
        steps, outputs = rng.randint(1, config.max_steps), rng.randint(1, 3 * slots * each)
        tiles, groups = -(-outputs // (slots * each)), config.groups(steps)
        rates = [rng.choice([0, 0.3, 0.7, 1]) for _ in range(tiles * slots * each)]
        words = [sum((rng.random() < rate) << t for t in range(steps)) for rate in rates]
        ends = []
        for tile in range(tiles):
            while int(dut.busy.value):
                await bench.tick()
            dut.slots.value, dut.outputs.value = slots, outputs
            for group in range(groups):
                for slot in range(slots):
                    first = (tile * slots + slot) * each
                    item = {
                        "slot": slot, "first_tile": tile == 0, "first_group": group == 0,
                        "last_group": group == groups - 1,
                        "words": [
                            word >> group * config.steps & (1 << config.steps) - 1
                            for word in words[first : first + each]
                        ],
                    }  # fmt: skip
                    await _offer(bench, bits_of(layout, item))
            ends.append(bench.cycle)
            dut.slots.value, dut.outputs.value = 0, 0
            await bench.tick()
        while int(dut.busy.value):
            await bench.tick()
        await bench.tick(each)
        expected = [word.bit_count() for word in words[:outputs]]
        expected[-1] |= 1 << 32
        assert sink.items == expected
        if not stall:
            tile = slots * each
            assert sink.cycles == [ends[n // tile] + 1 + n % tile for n in range(outputs)]
        sink.items.clear()
        sink.cycles.clear()


async def _offer(bench: Bench, item: int) -> None:
    while bench.pauses():
        await bench.tick()
    bench.dut.i.value, bench.dut.valid.value = item, 1
    await bench.tick()
    bench.dut.valid.value = 0
