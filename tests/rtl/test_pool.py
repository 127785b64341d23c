import random

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator
from numpy.typing import NDArray

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_rtl import pool
from sparta_rtl.pool import PoolUnit, pool_depth
from sparta_sim.cycles.tokens import pool_cycles

IntArray = NDArray[np.int64]
Items = list[tuple[int, int]]


def core(steps: int, line: int, features: int, lanes: int = 2) -> CoreConfig:
    return CoreConfig(name="test", lanes=lanes, line=line, steps=steps, max_features=features)


def reference(start: IntArray, items: Items, shift: int) -> IntArray:
    sums = start.copy()
    for feature, value in items:
        sums[feature] += value
    return np.clip(sums >> shift, -128, 127)


def entry_values(config: CoreConfig, lines: list[int]) -> list[int]:
    """Signed integers back from their lines, bit by bit; bits after the last plane must be zero."""
    groups, values = config.groups(8), []
    for chunk in range(len(lines) // groups):
        for entry in range(config.line):
            word = 0
            for group in range(groups):
                bits = lines[chunk * groups + group] >> entry * config.steps & (1 << config.steps) - 1
                word |= bits << group * config.steps
            assert word < 256
            value = int(f"{word:08b}"[::-1], 2)
            values.append(value - 256 if value > 127 else value)
    return values


def run(
    config: CoreConfig, cases: list[tuple[IntArray, Items, int]], stall: float = 0.0
) -> list[tuple[list[int], int, int]]:
    """Pooled features, cycles of POOL and cycles of the additions, case by case."""
    dut, rng, results = PoolUnit(config), random.Random(2), []
    every_segment = (1 << config.segments) - 1
    mask = (1 << config.pool_bits) - 1

    async def bench(ctx):
        for number, (start, items, shift) in enumerate(cases):
            ctx.set(dut.gate.en, 1)
            for feature, value in enumerate(start.tolist()):
                ctx.set(dut.gate.addr, feature)
                ctx.set(dut.gate.data, value & mask)
                await ctx.tick()
            ctx.set(dut.gate.en, 0)
            adding = 0
            for feature, value in items:
                while rng.random() < stall:
                    await ctx.tick()
                ctx.set(dut.i.payload, {"feature": feature, "value": value})
                ctx.set(dut.i.valid, 1)
                ready = False
                while not ready:
                    _, _, ready, idle = await ctx.tick().sample(dut.i.ready, dut.idle)
                    assert not idle
                    adding += 1
                ctx.set(dut.i.valid, 0)
            while not ctx.get(dut.idle):
                await ctx.tick()

            out_base, groups = 100 * number, config.groups(8)
            ctx.set(dut.layer.chunks, len(start) // config.line)
            ctx.set(dut.layer.shift, shift)
            ctx.set(dut.layer.out_base, out_base)
            ctx.set(dut.start, 1)
            lines: list[int] = []
            cycles, done = 0, False
            while not done:
                _, _, done, en, addr, data = await ctx.tick().sample(
                    dut.done, dut.write.en, dut.write.addr, dut.write.data
                )
                ctx.set(dut.start, 0)
                if en:
                    assert en == every_segment
                    assert addr == out_base + len(lines)
                    lines.append(data)
                if not done:
                    cycles += 1
                assert cycles < 20_000, "the unit does not finish"
            assert len(lines) == len(start) // config.line * groups
            results.append((entry_values(config, lines), cycles, adding))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return results


def random_case(
    features: int, ranks: int, seed: int, magnitude: int = 1 << 12
) -> tuple[IntArray, Items, int]:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, magnitude, features)
    items = [(d, int(rng.integers(-magnitude, magnitude))) for _ in range(ranks) for d in range(features)]
    return start, items, int(rng.integers(0, 10))


def check(config: CoreConfig, cases: list[tuple[IntArray, Items, int]], stall: float = 0.0) -> None:
    for (start, items, shift), (values, cycles, _) in zip(cases, run(config, cases, stall), strict=True):
        assert values == reference(start, items, shift).tolist()
        assert cycles == pool_cycles(config, {"chunks": len(start) // config.line})


@pytest.mark.parametrize("stall", [0.0, 0.6])
@pytest.mark.parametrize(
    ("steps", "line", "features"),
    [(8, 4, 16), (4, 8, 8), (1, 2, 4), (5, 4, 8), (16, 4, 8), (8, 2, 2), (3, 16, 16), (32, 4, 12)],
)
def test_features_and_cycles(steps: int, line: int, features: int, stall: float) -> None:
    config = core(steps, line, features)
    high, low = (1 << config.pool_bits - 1) - 1, -(1 << config.pool_bits - 1)
    cases = [random_case(features, ranks=3, seed=seed) for seed in range(4)]
    cases += [
        (np.zeros(features, int), [], 0),
        (np.full(features, high), [], 19),
        (np.full(features, low), [], 20),
        (np.arange(features) - features // 2, [], 0),
        (np.full(features, 127), [(0, 1), (features - 1, -255)], 0),
        (np.full(features, -128), [(0, -1), (features - 1, 255)], 0),
    ]
    check(config, cases, stall)


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("distance", [1, 2, 3, 4])
def test_repeated_features_add_up(distance: int, stall: float) -> None:
    config = core(8, 4, 8)
    items = [(n % distance, n * n - 700) for n in range(60)]
    check(config, [(np.zeros(8, int), items, 5)], stall)


def test_one_item_per_cycle_from_a_distance_of_three() -> None:
    config = core(8, 4, 8)
    taken = [
        run(config, [(np.zeros(8, int), [(n % distance, n) for n in range(60)], 0)])[0][2]
        for distance in (1, 2, 3, 8)
    ]
    assert taken == [60 + 2 * 59, 60 + 29, 60, 60]


def test_partial_use_of_the_memory() -> None:
    config = core(8, 4, 16)
    check(config, [random_case(16, 2, seed=0), random_case(8, 2, seed=1), random_case(16, 1, seed=2)])


def test_depth_is_whole_lines() -> None:
    assert pool_depth(core(8, 16, 17)) == 32


def test_planes_in_the_wrong_order_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = pool.plane_lines
    monkeypatch.setattr(pool, "plane_lines", lambda config, values: right(config, values)[::-1])
    with pytest.raises(AssertionError):
        check(core(4, 4, 4), [random_case(4, 2, seed=3)])


@pytest.mark.parametrize("name", NAMED_CONFIGS)
def test_converts_to_verilog(name: str) -> None:
    assert "module top" in verilog.convert(PoolUnit(NAMED_CONFIGS[name]))
