import random

import pytest
from amaranth.sim import Simulator

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import MlpSet
from sparta_rtl import token_mlp
from sparta_rtl.token_mlp import LATENCY, TokenMlp
from tests.rtl.rank_reference import MlpWeights, random_mlp

PERIOD = CoreConfig.hidden_units


def run(
    sets: list[MlpWeights], used: MlpSet, inputs: list[tuple[int, ...]], idle: float = 0.0
) -> tuple[list[tuple[int, int]], list[int]]:
    """(y, y_of) of each token in one of the sets, and the cycles from its start to its result."""
    dut, rng, starts = TokenMlp(CoreConfig(name="test")), random.Random(1), []
    results, latencies = [], []

    async def listen(ctx):
        cycle = 0
        async for _, _, started, valid, y, y_of in ctx.tick().sample(dut.start, dut.valid, dut.y, dut.y_of):
            if started:
                starts.append(cycle)
            if valid:
                latencies.append(cycle - starts[len(results)])
                results.append((y, y_of))
            cycle += 1

    async def bench(ctx):
        ctx.set(dut.weights.en, 1)
        for address, row in enumerate(row for weights in sets for row in weights.rows()):
            ctx.set(dut.weights.addr, address)
            ctx.set(dut.weights.data, row | rng.getrandbits(8) << 56)
            await ctx.tick()
        ctx.set(dut.weights.en, 0)
        ctx.set(dut.hidden_shift, sets[used].hidden_shift)
        ctx.set(dut.shift, sets[used].shift)
        ctx.set(dut.bias, sets[used].c)
        ctx.set(dut.set, used)
        for x in inputs:
            while rng.random() < idle:
                await ctx.tick()
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.x, x)
            await ctx.tick()
            ctx.set(dut.x, [rng.randint(-2048, 2047) for _ in x])
            await ctx.tick().repeat(PERIOD - 2)
        await ctx.tick().repeat(LATENCY)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(listen, background=True)
    sim.add_testbench(bench)
    sim.run()
    return results, latencies


def random_inputs(rng: random.Random, count: int) -> list[tuple[int, ...]]:
    values = [tuple(rng.randint(-2048, 2047) for _ in range(3)) for _ in range(count)]
    ends = [(a, b, c) for a in (-2048, 2047) for b in (-2048, 0) for c in (-2048, 2047)]
    return values + ends


@pytest.mark.parametrize("idle", [0.0, 0.6])
@pytest.mark.parametrize("seed", range(6))
def test_outputs_and_latency(seed: int, idle: float) -> None:
    rng = random.Random(seed)
    sets = [random_mlp(rng, extreme=seed % 3 == 2) for _ in MlpSet]
    used, inputs = MlpSet(seed % 3), random_inputs(rng, 12)
    results, latencies = run(sets, used, inputs, idle)
    assert results == [(sets[used](*x), x[0]) for x in inputs]
    assert set(latencies) == {LATENCY}


@pytest.mark.parametrize("hidden_shift", [0, 31])
@pytest.mark.parametrize("shift", [0, 31])
@pytest.mark.parametrize("sign", [-1, 1])
def test_every_term_at_its_end(sign: int, shift: int, hidden_shift: int) -> None:
    """Sums of the largest magnitude that weights, inputs and biases can have."""
    low, high = -(1 << 23), (1 << 23) - 1
    weights = MlpWeights(
        w=[[-128] * 3] * 8,
        b=[high] * 8,
        v=[127 if sign > 0 else -128] * 8,
        hidden_shift=hidden_shift,
        c=high if sign > 0 else low,
        shift=shift,
    )
    inputs = [(-2048,) * 3, (2047,) * 3]
    results, _ = run([weights] * 3, MlpSet.FUSION, inputs)
    assert [y for y, _ in results] == [weights(*x) for x in inputs]


def test_a_missing_saturation_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_mlp, "saturate", lambda value, bits: value[:bits])
    weights = MlpWeights([[127] * 3] * 8, [0] * 8, [127] * 8, hidden_shift=0, c=0, shift=0)
    results, _ = run([weights] * 3, MlpSet.FUSION, [(1, 1, 1)])
    assert results[0][0] != weights(1, 1, 1) == 2047
