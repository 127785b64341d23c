import random

import pytest
from amaranth.sim import Simulator

from sparta_rtl.divider import SerialDivider, division_cycles


def run(dut: SerialDivider, operands: list[tuple[int, int]], idle: float = 0.0) -> tuple[list[int], set[int]]:
    """Quotients, and the cycles that divisions took."""
    rng, quotients, cycles = random.Random(3), [], set()

    async def bench(ctx):
        for numerator, denominator in operands:
            while rng.random() < idle:
                await ctx.tick()
            ctx.set(dut.numerator, numerator)
            ctx.set(dut.denominator, denominator)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.numerator, rng.getrandbits(len(dut.numerator)))
            ctx.set(dut.denominator, rng.getrandbits(len(dut.denominator)))
            taken = 1
            while not ctx.get(dut.done):
                await ctx.tick()
                taken += 1
            cycles.add(taken)
            quotients.append(ctx.get(dut.quotient))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return quotients, cycles


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize("at_once", [1, 2, 3])
@pytest.mark.parametrize(
    ("numerator", "denominator", "quotient"), [(13, 10, 7), (13, 12, 7), (4, 4, 1), (3, 8, 9)]
)
def test_quotients(numerator: int, denominator: int, quotient: int, at_once: int, idle: float) -> None:
    rng, operands = random.Random(numerator), []
    while len(operands) < 200:
        n, d = rng.getrandbits(numerator) >> rng.randrange(numerator), rng.getrandbits(denominator)
        if n < d << quotient:
            operands.append((n, d))
    quotients, cycles = run(SerialDivider(numerator, denominator, quotient, at_once), operands, idle)
    assert quotients == [n // d for n, d in operands]
    assert cycles == {-(-quotient // at_once) + 1} == {division_cycles(quotient, at_once)}


@pytest.mark.parametrize("at_once", [1, 2])
def test_every_small_quotient(at_once: int) -> None:
    operands = [(n, d) for d in range(1, 16) for n in range(min(64, d << 3))]
    quotients, _ = run(SerialDivider(6, 4, 3, at_once), operands)
    assert quotients == [n // d for n, d in operands]


def test_a_quotient_with_too_few_bits_is_caught() -> None:
    quotients, _ = run(SerialDivider(6, 4, 2), [(35, 7)])
    assert quotients != [5]
