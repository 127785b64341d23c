import random

import pytest
from amaranth.sim import Simulator

from sparta_rtl.digit_tree import RADIX, RADIX_BITS, READ_CYCLES, DigitTree

Read = tuple[int, int]
"""Level and prefix."""


def run(
    dut: DigitTree, sorts: list[list[int]], reads: list[list[Read]], stall: float
) -> list[list[list[int]]]:
    """Counts read after each list of keys."""
    rng, results = random.Random(3), []

    async def bench(ctx):
        for keys, wanted in zip(sorts, reads, strict=True):
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            for key in keys:
                while rng.random() < stall:
                    await ctx.tick()
                ctx.set(dut.valid, 1)
                ctx.set(dut.key, key)
                await ctx.tick()
                ctx.set(dut.valid, 0)
            await ctx.tick().repeat(len(dut.key) // RADIX_BITS + 1)
            counts = []
            for level, prefix in wanted:
                ctx.set(dut.read, 1)
                ctx.set(dut.level, level)
                ctx.set(dut.prefix, prefix)
                await ctx.tick()
                ctx.set(dut.read, 0)
                await ctx.tick().repeat(READ_CYCLES - 1)
                counts.append([ctx.get(count) for count in dut.at_least])
            results.append(counts)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return results


def reference(levels: int, keys: list[int], level: int, prefix: int) -> list[int]:
    def digits(key: int, count: int) -> int:
        return key >> RADIX_BITS * (levels - count)

    there = [digits(key, level + 1) % RADIX for key in keys if digits(key, level) == prefix]
    return [sum(digit >= low for digit in there) for low in range(1, RADIX)]


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_counts_equal_reference(levels: int, stall: float) -> None:
    """Wide and narrow keys, so that equal prefixes follow one another; all rows that the keys have touched."""
    rng, tokens = random.Random(levels), 24
    top = 1 << RADIX_BITS * levels
    sorts = [
        [rng.randrange(top) % rng.choice([top, 2, 3]) for _ in range(rng.randint(1, tokens))]
        for _ in range(12)
    ]
    reads = [
        [(level, key >> RADIX_BITS * (levels - level)) for level in range(levels) for key in set(keys)]
        for keys in sorts
    ]
    expected = [
        [reference(levels, keys, *read) for read in wanted] for keys, wanted in zip(sorts, reads, strict=True)
    ]
    assert run(DigitTree(tokens, levels), sorts, reads, stall) == expected
