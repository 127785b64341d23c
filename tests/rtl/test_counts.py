"""The count unit adds up every spike of every slot and sends each count once, under any backpressure."""

import random

import pytest
from amaranth.sim import Simulator

from sparta_hw.config import CoreConfig
from sparta_rtl.counts import CountUnit

PLAIN = {"attention": False, "counts": True, "max_steps": 32}
SHARED = CoreConfig(name="shared", lanes=8, fire_share=4, steps=1, line=8, **PLAIN)
WHOLE = CoreConfig(name="whole", lanes=4, steps=5, line=4, **PLAIN)


@pytest.mark.parametrize("stall", [0.0, 0.6])
@pytest.mark.parametrize(
    ("config", "slots", "outputs", "steps"),
    [(SHARED, 1, 2, 32), (SHARED, 3, 5, 4), (SHARED, 4, 21, 3), (WHOLE, 1, 10, 13), (WHOLE, 1, 4, 1)],
)
def test_counts_of_all_tiles(config: CoreConfig, slots: int, outputs: int, steps: int, stall: float) -> None:
    dut, rng, received = CountUnit(config), random.Random(outputs), []
    each, groups = config.fire_lanes, config.groups(steps)
    tiles = -(-outputs // (slots * each))
    rates = [rng.choice([0, 0.3, 0.7, 1]) for _ in range(tiles * slots * each)]
    words = [[rng.random() < rate for _ in range(steps)] for rate in rates]

    async def producer(ctx):
        ctx.set(dut.slots, slots)
        ctx.set(dut.outputs, outputs)
        for tile in range(tiles):
            for group in range(groups):
                for slot in range(slots):
                    first = (tile * slots + slot) * each
                    bits = slice(group * config.steps, (group + 1) * config.steps)
                    lanes = [sum(bit << n for n, bit in enumerate(word[bits])) for word in words]
                    ends = {"first_group": group == 0, "last_group": group == groups - 1}
                    item = {"slot": slot, "first_tile": tile == 0, **ends}
                    ctx.set(dut.i, item | {"words": lanes[first : first + each]})
                    ctx.set(dut.valid, 1)
                    assert not ctx.get(dut.busy)
                    await ctx.tick()
                    ctx.set(dut.valid, 0)
            if tile == tiles - 1:
                ctx.set(dut.slots, 0)
                ctx.set(dut.outputs, 0)
            while ctx.get(dut.busy):
                await ctx.tick()

    async def consumer(ctx):
        while len(received) < outputs:
            ctx.set(dut.o.ready, rng.random() >= stall)
            *_, valid, ready, payload = await ctx.tick().sample(dut.o.valid, dut.o.ready, dut.o.payload)
            if valid and ready:
                received.append(payload)
        assert not ctx.get(dut.busy)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(producer)
    sim.add_testbench(consumer)
    sim.run()
    expected = [sum(word) for word in words[:outputs]]
    expected[-1] |= 1 << 32
    assert received == expected
