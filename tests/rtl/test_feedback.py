import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.interpreter.attention import next_state
from sparta_hw.ir import FeedbackController, Value
from sparta_hw.numerics import FixedPoint
from sparta_rtl.feedback import FEEDBACK_CYCLES, FeedbackUnit


@pytest.mark.parametrize("seed", range(6))
def test_states_of_a_stream(seed: int) -> None:
    dut, rng = FeedbackUnit(NAMED_CONFIGS["tiny"]), random.Random(seed)
    fields = {
        "activity_shift": rng.choice([0, 3, 31]),
        "rate_shift": rng.choice([0, 1, 15]),
        "target": rng.choice([0, 700, 65535]),
    }
    value = Value("v", (1,), FixedPoint(8, 0))
    op = FeedbackController(node="f", output=value, attention=(), **fields)

    async def infer(ctx, values: list[int]) -> None:
        ctx.set(dut.begin, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        for number in values:
            ctx.set(dut.valid, 1)
            ctx.set(dut.value, number)
            await ctx.tick()
            ctx.set(dut.valid, 0)
            if rng.random() < 0.3:
                await ctx.tick()
        ctx.set(dut.start, 1)
        cycles = 0
        while not ctx.get(dut.done):
            await ctx.tick()
            ctx.set(dut.start, 0)
            cycles += 1
        assert cycles == FEEDBACK_CYCLES

    async def bench(ctx):
        state = rng.choice([0, 12345, -(1 << 25)])
        ctx.set(dut.layer, {"op": 0, "id": 0, **fields})
        ctx.set(dut.load, 1)
        ctx.set(dut.load_value, state)
        await ctx.tick()
        ctx.set(dut.load, 0)
        for extreme in (False, True, False):
            values = [-128] * 700 if extreme else [rng.randint(-128, 127) for _ in range(50)]
            await infer(ctx, values)
            state = int(next_state(op, (np.array(values).reshape(1, 1, -1),), np.array([state]))[0])
            assert ctx.get(dut.state) == state
        ctx.set(dut.reset, 1)
        await ctx.tick()
        ctx.set(dut.reset, 0)
        assert ctx.get(dut.state) == 0

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
