"""The result port sends the logits that exist, in order, under any backpressure."""

import random

import pytest
from amaranth.sim import Simulator

from sparta_hw.config import NAMED_CONFIGS
from sparta_rtl.results import ResultPort

CONFIG = NAMED_CONFIGS["tiny"]


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("outputs", [1, 4, 5, 10])
def test_every_logit_once_and_the_last_is_marked(outputs: int, stall: float) -> None:
    dut, rng, received = ResultPort(CONFIG), random.Random(outputs), []
    logits = [rng.randint(-(1 << 27), (1 << 27) - 1) for _ in range(outputs)]
    lanes = CONFIG.lanes

    async def producer(ctx):
        ctx.set(dut.outputs, outputs)
        for tile in range(-(-outputs // lanes)):
            padded = (logits + [99] * lanes)[tile * lanes : (tile + 1) * lanes]
            ctx.set(dut.i.payload, {"position": 0, "tile": tile, "values": padded})
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
        ctx.set(dut.outputs, 0)

    async def consumer(ctx):
        while len(received) < outputs:
            ctx.set(dut.o.ready, rng.random() >= stall)
            *_, valid, ready, payload = await ctx.tick().sample(dut.o.valid, dut.o.ready, dut.o.payload)
            if valid and ready:
                received.append(payload)
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(lanes)
        assert ctx.get(dut.idle)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(producer)
    sim.add_testbench(consumer)
    sim.run()
    expected = [value & 0xFFFFFFFF for value in logits]
    expected[-1] |= 1 << 32
    assert received == expected
