import random

import pytest
from amaranth.hdl import Module, Shape, Signal, signed, unsigned
from amaranth.sim import Simulator

from sparta_rtl.pipeline import adder_tree, chosen_by, delay, is_next, saturate
from sparta_rtl.popcount import at_most_one


@pytest.mark.parametrize(("width", "bits"), [(12, 8), (9, 8), (8, 8), (6, 8), (13, 12)])
def test_saturate(width: int, bits: int) -> None:
    m, value, result = Module(), Signal(signed(width)), Signal(signed(width + 1))
    m.d.comb += result.eq(saturate(value, bits))
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    async def testbench(ctx) -> None:
        for number in range(-(1 << width - 1), 1 << width - 1):
            ctx.set(value, number)
            assert ctx.get(result) == min(max(number, low), high)

    sim = Simulator(m)
    sim.add_testbench(testbench)
    sim.run()


@pytest.mark.parametrize(("count", "latency"), [(1, 0), (2, 1), (4, 1), (5, 2), (16, 2), (17, 3), (64, 3)])
def test_adder_tree(count: int, latency: int) -> None:
    m, terms = Module(), [Signal(signed(8), name=f"term_{n}") for n in range(count)]
    total, cycles = adder_tree(m, terms)
    assert cycles == latency
    rng = random.Random(count)
    rows = [[-128] * count, [127] * count] + [[rng.randint(-128, 127) for _ in terms] for _ in range(20)]
    m.d.sync += Signal().eq(0)

    async def testbench(ctx) -> None:
        answers = []
        for row in rows + [[0] * count] * cycles:
            for term, number in zip(terms, row, strict=True):
                ctx.set(term, number)
            answers.append(ctx.get(total))
            await ctx.tick()
        assert answers[cycles:] == [sum(row) for row in rows]

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


@pytest.mark.parametrize("cycles", [0, 1, 3])
def test_delay_counts_enabled_cycles(cycles: int) -> None:
    m, value, enable = Module(), Signal(8), Signal()
    late = delay(m, value, cycles, enable)
    m.d.sync += Signal().eq(0)
    rng, accepted = random.Random(cycles), [0] * cycles

    async def testbench(ctx) -> None:
        for number in range(1, 100):
            ctx.set(value, number)
            ctx.set(enable, rng.random() < 0.5)
            if cycles:
                assert ctx.get(late) == accepted[-cycles]
            else:
                assert ctx.get(late) == number
            if ctx.get(enable):
                accepted.append(number)
            await ctx.tick()

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


@pytest.mark.parametrize("shape", [unsigned(4), unsigned(2), signed(4)])
def test_is_next(shape: Shape) -> None:
    m, before, after, result = Module(), Signal(shape), Signal(3), Signal()
    m.d.comb += result.eq(is_next(before, after))
    low = -(1 << shape.width - 1) if shape.signed else 0

    async def testbench(ctx) -> None:
        for a in range(low, low + (1 << shape.width)):
            for b in range(8):
                ctx.set(before, a)
                ctx.set(after, b)
                assert ctx.get(result) == (b == a + 1), (a, b)

    sim = Simulator(m)
    sim.add_testbench(testbench)
    sim.run()


def test_at_most_one_and_chosen_by() -> None:
    m, bits, index = Module(), Signal(8), Signal(2)
    single, chosen, values = Signal(), Signal(8), [Signal(8, init=n * n + 7) for n in range(4)]
    m.d.comb += [single.eq(at_most_one(bits)), chosen.eq(chosen_by(index, values))]

    async def testbench(ctx) -> None:
        for number in range(256):
            ctx.set(bits, number)
            assert ctx.get(single) == (number.bit_count() <= 1)
        for n in range(4):
            ctx.set(index, n)
            assert ctx.get(chosen) == n * n + 7

    sim = Simulator(m)
    sim.add_testbench(testbench)
    sim.run()
