"""The register slice loses, repeats and reorders nothing, and passes one item a cycle."""

import random

import pytest
from amaranth.sim import Simulator

from sparta_rtl.stream_slice import StreamSlice

ITEMS = 200


@pytest.mark.parametrize("stall_in", [0.0, 0.5])
@pytest.mark.parametrize("stall_out", [0.0, 0.5, 0.9])
def test_everything_arrives_in_order(stall_in: float, stall_out: float) -> None:
    dut, rng, received, cycles = StreamSlice(8), random.Random(1), [], 0

    async def producer(ctx):
        for item in range(ITEMS):
            while rng.random() < stall_in:
                await ctx.tick()
            ctx.set(dut.i.payload, item)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def consumer(ctx):
        nonlocal cycles
        while len(received) < ITEMS:
            ctx.set(dut.o.ready, rng.random() >= stall_out)
            *_, valid, ready, item = await ctx.tick().sample(dut.o.valid, dut.o.ready, dut.o.payload)
            cycles += 1
            if valid and ready:
                received.append(item)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(producer)
    sim.add_testbench(consumer)
    sim.run()
    assert received == [item & 0xFF for item in range(ITEMS)]
    if not stall_in and not stall_out:
        assert cycles == ITEMS + 1
