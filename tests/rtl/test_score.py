import numpy as np
import pytest
from amaranth.sim import Simulator
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_rtl import score
from sparta_rtl.cues import cue_sums_layout
from sparta_rtl.score import ScoreUnit

IntArray = NDArray[np.int64]


def core(max_steps: int, max_features: int = 64, max_tokens: int = 16) -> CoreConfig:
    return CoreConfig(
        name="test",
        max_steps=max_steps,
        max_features=max_features,
        max_tokens=max_tokens,
        max_topk=max_tokens,
    )


def random_sums(tokens: int, channels: int, steps: int, seed: int) -> IntArray:
    """F, A, G, U, R (N, 5) that some spikes can have: token 0 is silent, token 1 always spikes."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, channels * steps + 1, tokens)
    gaps = rng.integers(0, channels * (steps - 1) + 1, tokens) >> rng.integers(0, 8, tokens)
    span = rng.integers(gaps, gaps * max(steps - 1, 1) + 1)
    burst = rng.integers(0, gaps + 1)
    rate = gaps + rng.integers(0, channels + 1, tokens)
    sums = np.stack([first, np.minimum(span, channels * (steps - 1)), gaps, burst, rate], axis=1)
    most = channels * (steps - 1)
    extremes = [[channels * steps, 0, 0, 0, 0], [0, most, most, most, channels * steps]]
    sums[:2] = extremes[: min(tokens, 2)]
    return sums


def random_tables(config: CoreConfig, seed: int) -> IntArray:
    """Four tables (4, silent_cue + 1) of s11 whose sums fit s12."""
    return np.random.default_rng(seed).integers(-512, 512, (4, config.silent_cue + 1))


def reference(tables: IntArray, sums: IntArray, channels: int, steps: int) -> IntArray:
    """Scores (N,) as ARCHITECTURE.md defines them."""
    total, span, gaps, burst, rate = sums.T << 3
    interval = np.where(gaps > 0, span // np.maximum(gaps >> 3, 1), steps << 3)
    cues = (total // channels, interval, burst // channels, rate // channels)
    return sum(table[cue] for table, cue in zip(tables, cues, strict=True))


async def load_tables(ctx, port, tables: IntArray) -> None:
    """What the host does: entries sign-extended to 16 bits, lowest first."""
    ctx.set(port.en, 1)
    for row, entries in enumerate(tables.T):
        ctx.set(port.addr, row)
        ctx.set(port.data, int.from_bytes(entries.astype("<i2").tobytes(), "little"))
        await ctx.tick()
    ctx.set(port.en, 0)


def run(
    config: CoreConfig, sums: IntArray, channels: int, steps: int, tables: IntArray
) -> tuple[IntArray, list[int]]:
    """Scores in token order, and the cycles after ``start`` in which they came."""
    dut, scores, cycles = ScoreUnit(config), [], []
    layout = cue_sums_layout(config)

    async def sums_memory(ctx):
        async for _, _, en, addr in ctx.tick().sample(dut.sums.en, dut.sums.addr):
            if en:
                row = dict(zip(layout.members, sums[addr].tolist(), strict=True))
                ctx.set(dut.sums.data, layout.const(row).as_value().value)

    async def bench(ctx):
        await load_tables(ctx, dut.tables, tables)
        ctx.set(dut.tokens, len(sums))
        ctx.set(dut.channels, channels)
        ctx.set(dut.steps, steps)
        ctx.set(dut.start, 1)
        for cycle in range(len(sums) * 20 + 20):
            _, _, valid, token = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            ctx.set(dut.start, 0)
            if valid:
                assert token.token == len(scores)
                assert token.last == (len(scores) == len(sums) - 1)
                scores.append(token.value)
                cycles.append(cycle)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(sums_memory, background=True)
    sim.add_testbench(bench)
    sim.run()
    return np.array(scores), cycles


@pytest.mark.parametrize(
    ("max_steps", "steps", "channels", "tokens"),
    [(8, 8, 64, 16), (8, 5, 7, 16), (1, 1, 3, 5), (32, 32, 64, 12), (16, 1, 1, 2), (8, 8, 64, 1)],
)
def test_scores_and_cycles(max_steps: int, steps: int, channels: int, tokens: int) -> None:
    config = core(max_steps)
    sums, tables = random_sums(tokens, channels, steps, seed=steps), random_tables(config, seed=channels)
    scores, cycles = run(config, sums, channels, steps, tables)
    np.testing.assert_array_equal(scores, reference(tables, sums, channels, steps))
    period = (max_steps << 3).bit_length() + 1
    assert cycles == [(token + 1) * period + 5 for token in range(tokens)]


def test_extreme_scores() -> None:
    config = core(8)
    sums = random_sums(4, 16, 8, seed=0)
    for value in (511, -512):
        scores, _ = run(config, sums, 16, 8, np.full((4, config.silent_cue + 1), value))
        assert set(scores.tolist()) == {4 * value}


def test_tables_in_the_wrong_order_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "CUES", ("interval", "first", "burst", "rate"))
    config = core(8)
    sums, tables = random_sums(8, 16, 8, seed=0), random_tables(config, seed=0)
    scores, _ = run(config, sums, 16, 8, tables)
    assert (scores != reference(tables, sums, 16, 8)).any()
