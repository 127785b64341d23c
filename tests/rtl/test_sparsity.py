import random
from math import isqrt

import pytest
from amaranth.sim import Simulator

from sparta_hw.config import CoreConfig
from sparta_rtl import sparsity
from sparta_rtl.sparsity import CueStatistics, SerialRoot, statistics_cycles

Cues = list[tuple[int, int, int]]


def roots(bits: int, radicands: list[int]) -> tuple[list[int], set[int]]:
    """Roots, and the cycles that they took."""
    dut, rng, results, cycles = SerialRoot(bits), random.Random(bits), [], set()

    async def bench(ctx):
        for radicand in radicands:
            ctx.set(dut.radicand, radicand)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.radicand, rng.getrandbits(2 * bits))
            taken = 1
            while not ctx.get(dut.done):
                await ctx.tick()
                taken += 1
            cycles.add(taken)
            results.append(ctx.get(dut.root))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return results, cycles


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_every_small_root(bits: int) -> None:
    radicands = list(range(1 << 2 * bits))
    assert roots(bits, radicands) == ([isqrt(radicand) for radicand in radicands], {bits + 1})


def test_roots_of_squares_and_their_neighbours() -> None:
    rng, bits = random.Random(1), 21
    exact = [rng.getrandbits(bits) for _ in range(40)] + [(1 << bits) - 1, 1]
    radicands = [root * root + step for root in exact for step in (-1, 0, 1)] + [(1 << 2 * bits) - 1]
    assert roots(bits, radicands)[0] == [isqrt(radicand) for radicand in radicands]


def reference(cues: Cues) -> tuple[int, int, int]:
    """Mean rate, deviation, mean interval of (first, interval, rate) of each token."""
    n = len(cues)
    first, interval, rate = zip(*cues, strict=True)
    spread = n * sum(x * x for x in first) - sum(first) ** 2
    return sum(rate) // n, isqrt(spread) // n, sum(interval) // n


def run(config: CoreConfig, samples: list[Cues], idle: float = 0.0) -> tuple[list[tuple], set[int]]:
    """Statistics of one sample after the other, and the cycles from ``start`` to ``done``."""
    dut, rng, results, cycles = CueStatistics(config), random.Random(7), [], set()

    async def bench(ctx):
        for cues in samples:
            ctx.set(dut.clear, 1)
            ctx.set(dut.tokens, len(cues))
            await ctx.tick()
            ctx.set(dut.clear, 0)
            for first, interval, rate in cues:
                while rng.random() < idle:
                    await ctx.tick()
                ctx.set(dut.first, first)
                ctx.set(dut.interval, interval)
                ctx.set(dut.rate, rate)
                ctx.set(dut.valid, 1)
                await ctx.tick()
                ctx.set(dut.valid, 0)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            taken = 1
            while not ctx.get(dut.done):
                await ctx.tick()
                taken += 1
            cycles.add(taken)
            results.append(tuple(ctx.get(s) for s in (dut.mean_rate, dut.deviation, dut.mean_interval)))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return results, cycles


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize("max_tokens", [2, 16, 64, 1024])
def test_statistics_and_cycles(max_tokens: int, idle: float) -> None:
    rng = random.Random(max_tokens)
    config = CoreConfig(name="test", max_tokens=max_tokens, max_topk=2)
    sizes = [1, 2, min(max_tokens, 64), rng.randint(1, min(max_tokens, 64)), min(max_tokens, 63)]
    samples = [[tuple(rng.randint(0, 2047) for _ in range(3)) for _ in range(size)] for size in sizes]
    samples += [[(rng.choice([0, 2047]), 2047, 0) for _ in range(size)] for size in sizes]
    samples += [[(2047, 0, 2047)] * size for size in sizes]
    results, cycles = run(config, samples, idle)
    assert results == [reference(cues) for cues in samples]
    assert cycles == {statistics_cycles(config)}


def test_the_largest_spread() -> None:
    config = CoreConfig(name="test", max_tokens=1024, max_topk=2)
    cues = [(0, 2047, 2047), (2047, 2047, 2047)] * 512
    assert run(config, [cues])[0] == [reference(cues)] == [(2047, 1023, 2047)]


def test_a_sum_with_too_few_bits_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparsity, "_sum_bits", lambda config: 12)
    cues = [(2047, 2047, 2047), (0, 2047, 2047)] * 4
    assert run(CoreConfig(name="test", max_tokens=8, max_topk=2), [cues])[0] != [reference(cues)]
