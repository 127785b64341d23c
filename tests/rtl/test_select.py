import random
from itertools import pairwise

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator
from numpy.typing import NDArray

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_rtl import select
from sparta_rtl.cues import CueUnit
from sparta_rtl.select import SelectUnit
from sparta_rtl.topk import TopKParams
from sparta_sim.cycles.select import select_cycles

IntArray = NDArray[np.int64]


def core(max_tokens: int, max_topk: int) -> CoreConfig:
    return CoreConfig(
        name="test", lanes=4, line=4, steps=8, max_steps=8, max_tokens=max_tokens, max_topk=max_topk
    )


def reference(spikes: IntArray, tables: IntArray, topk: int) -> tuple[IntArray, list[int]]:
    """Scores (N,) and selected tokens in rank order, of spikes (N, C, T): definitions, word by word."""
    tokens, channels, steps = spikes.shape
    scores = []
    for words in spikes:
        times = [np.flatnonzero(word).tolist() for word in words]
        first = sum(t[0] if t else steps for t in times)
        span, gaps = sum(t[-1] - t[0] for t in times if t), sum(len(t) - 1 for t in times if t)
        burst = sum(b - a == 1 for t in times for a, b in pairwise(t))
        rate = sum(map(len, times))
        cues = (
            first * 8 // channels,
            span * 8 // gaps if gaps else steps * 8,
            burst * 8 // channels,
            rate * 8 // channels,
        )
        scores.append(sum(int(table[cue]) for table, cue in zip(tables, cues, strict=True)))
    return np.array(scores), sorted(range(tokens), key=lambda token: (-scores[token], token))[:topk]


def run(
    config: CoreConfig, cases: list[tuple[IntArray, int]], tables: IntArray, stall: float = 0.0
) -> list[dict]:
    """Cue unit and select unit together: what they answer for spikes and K, case by case."""
    m, rng, results = Module(), random.Random(4), []
    m.submodules.cues, m.submodules.dut = cues, dut = CueUnit(config), SelectUnit(config)
    connect(m, dut.sums, cues.sums)

    async def collect(ctx, spikes: IntArray) -> None:
        tokens, channels, steps = spikes.shape
        ctx.set(cues.steps, steps)
        ctx.set(cues.outputs, channels)
        for start in range(0, channels, config.lanes):
            for position in range(tokens):
                while rng.random() < stall:
                    await ctx.tick()
                words = spikes[position, start : start + config.lanes]
                padding = [0] * (config.lanes - len(words))
                item = {
                    "position": position,
                    "tile": start // config.lanes,
                    "first_tile": start == 0,
                    "last_group": 1,
                    "words": [int(sum(int(b) << t for t, b in enumerate(word))) for word in words] + padding,
                }
                ctx.set(cues.i.payload, item)
                ctx.set(cues.i.valid, 1)
                await ctx.tick().until(cues.i.ready)
                ctx.set(cues.i.valid, 0)
        while not ctx.get(cues.idle):
            await ctx.tick()

    async def bench(ctx):
        ctx.set(dut.tables.en, 1)
        for row, entries in enumerate(tables.T):
            ctx.set(dut.tables.addr, row)
            ctx.set(dut.tables.data, int.from_bytes(entries.astype("<i2").tobytes(), "little"))
            await ctx.tick()
        ctx.set(dut.tables.en, 0)
        for spikes, topk in cases:
            await collect(ctx, spikes)
            tokens, channels, steps = spikes.shape
            ctx.set(dut.layer, {"tokens": tokens, "channels": channels, "steps": steps})
            ctx.set(dut.topk, topk)
            ctx.set(dut.start, 1)
            scored: list[tuple[int, int]] = []
            ranked: list[tuple[int, int]] = []
            cycles, done = 0, False
            while not done:
                _, _, done, *events = await ctx.tick().sample(
                    dut.done,
                    dut.score_valid,
                    dut.score_token,
                    dut.score_value,
                    dut.select_valid,
                    dut.select_rank,
                    dut.select_token,
                )
                ctx.set(dut.start, 0)
                if events[0]:
                    scored.append((events[1], events[2]))
                if events[3]:
                    ranked.append((events[4], events[5]))
                if not done:
                    cycles += 1
                assert cycles < 20_000, "the unit does not finish"
            assert scored == list(enumerate(value for _, value in scored))
            assert [rank for rank, _ in ranked] == list(range(topk))
            listed = []
            ctx.set(dut.tokens.en, 1)
            ctx.set(dut.scores.en, 1)
            for rank in range(topk):
                ctx.set(dut.tokens.addr, rank)
                ctx.set(dut.scores.addr, rank)
                await ctx.tick()
                score = ctx.get(dut.scores.data)
                listed.append((ctx.get(dut.tokens.data), score - (score >> 11 << 12)))
            results.append(
                {
                    "scores": [value for _, value in scored],
                    "index": [token for _, token in ranked],
                    "list": listed,
                    "selected": ctx.get(dut.selected),
                    "cycles": cycles,
                }
            )

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return results


def random_spikes(shape: tuple[int, int, int], seed: int) -> IntArray:
    rng = np.random.default_rng(seed)
    return (rng.random(shape) < rng.random((shape[0], 1, 1))).astype(int)


def random_tables(config: CoreConfig, high: int = 512) -> IntArray:
    return np.random.default_rng(high).integers(-high, high, (4, config.silent_cue + 1))


def check(
    config: CoreConfig, cases: list[tuple[IntArray, int]], tables: IntArray, stall: float = 0.0
) -> None:
    for (spikes, topk), result in zip(cases, run(config, cases, tables, stall), strict=True):
        scores, index = reference(spikes, tables, topk)
        assert result["scores"] == scores.tolist()
        assert result["index"] == index
        assert result["list"] == [(token, scores[token]) for token in index]
        assert result["selected"] == sum(1 << token for token in index)
        assert result["cycles"] == select_cycles(config, {"tokens": len(spikes)}, topk)


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize(
    ("max_tokens", "max_topk", "tokens", "channels", "steps"),
    [(16, 16, 16, 12, 8), (16, 4, 9, 7, 5), (16, 1, 16, 4, 1), (2, 2, 2, 5, 8), (8, 8, 1, 4, 8)],
)
def test_selection(
    max_tokens: int, max_topk: int, tokens: int, channels: int, steps: int, stall: float
) -> None:
    config = core(max_tokens, max_topk)
    shape, most = (tokens, channels, steps), min(tokens, max_topk)
    cases = [
        (random_spikes(shape, seed=0), most),  # K = N where the core has room
        (random_spikes(shape, seed=1), 1),
        (np.zeros(shape, int), most),  # all equal: index order
        (np.ones(shape, int), max(1, most // 2)),
        (random_spikes(shape, seed=2), max(1, most - 1)),
    ]
    check(config, cases, random_tables(config), stall)


def test_many_ties() -> None:
    config = core(16, 16)
    check(config, [(random_spikes((16, 8, 8), seed), 10) for seed in range(3)], random_tables(config, high=1))


def test_a_sorter_with_narrow_keys_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "TopKParams", lambda **sizes: TopKParams(**{**sizes, "key_bits": 4}))
    config = core(8, 8)
    with pytest.raises(AssertionError):
        check(config, [(random_spikes((8, 8, 8), seed=0), 8)], random_tables(config))


@pytest.mark.parametrize("name", NAMED_CONFIGS)
def test_converts_to_verilog(name: str) -> None:
    assert "module top" in verilog.convert(SelectUnit(NAMED_CONFIGS[name]))
