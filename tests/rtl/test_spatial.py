import random

import numpy as np
import pytest
from amaranth.sim import Simulator
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_rtl import spatial
from sparta_rtl.layouts import record_layout
from sparta_rtl.spatial import CentreSurround
from tests.rtl.rank_reference import grid_edges

IntArray = NDArray[np.int64]


def reference(rate: IntArray, inhibition: int) -> list[int]:
    """Scores of all tokens of a grid (H, W)."""
    height, width = rate.shape
    padded = np.pad(rate, 1)
    block = sum(padded[y : y + height, x : x + width] for y in range(3) for x in range(3))
    score = (rate * 512 - inhibition * (block - rate)) >> 9
    return np.clip(score, -2048, 2047).ravel().tolist()


def run(rate: IntArray, inhibition: int, idle: float = 0.0) -> tuple[list[int], set[int]]:
    """Scores of all tokens of a grid, and the cycles to ``done``; records off the grid are all ones."""
    height, width = rate.shape
    config = CoreConfig(name="test", max_tokens=32, max_topk=8)
    dut, layout, rng = CentreSurround(config), record_layout(config), random.Random(2)
    rows = [
        layout.const({"rate": int(value), **grid_edges(p, height, width)})
        for p, value in enumerate(rate.ravel())
    ]
    rows += [layout.from_bits((1 << layout.size) - 1)] * (config.max_tokens - len(rows))
    scores, cycles, starts = [], set(), []

    async def memory(ctx):
        async for _, _, start, token, read, row in ctx.tick().sample(dut.start, dut.token, dut.read, dut.row):
            if start or read:
                ctx.set(dut.record, rows[token if start else row])

    async def listen(ctx):
        cycle, due = 0, False
        async for _, _, start, done, score in ctx.tick().sample(dut.start, dut.done, dut.spatial):
            if due:
                scores.append(score)
            if start:
                starts.append(cycle)
            if done:
                cycles.add(cycle - starts[len(scores)])
            due, cycle = done, cycle + 1

    async def bench(ctx):
        ctx.set(dut.width, width)
        ctx.set(dut.inhibition, inhibition)
        for token in range(height * width):
            while rng.random() < idle:
                await ctx.tick()
            ctx.set(dut.start, 1)
            ctx.set(dut.token, token)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await ctx.tick().repeat(8)
        await ctx.tick().repeat(12)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(memory, background=True)
    sim.add_testbench(listen, background=True)
    sim.add_testbench(bench)
    sim.run()
    return scores, cycles


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1), (2, 2), (3, 3), (5, 6), (4, 8)])
def test_scores_and_cycles(height: int, width: int, idle: float) -> None:
    rng = np.random.default_rng(height)
    for inhibition in (0, 1, 77, 127):
        rate = rng.integers(0, 2048, (height, width))
        scores, cycles = run(rate, inhibition, idle)
        assert scores == reference(rate, inhibition)
        assert cycles == {11}


def test_saturation_at_both_ends() -> None:
    """The largest surround leaves -4062; a rate of 2047 alone stays."""
    rate = np.full((3, 3), 2047)
    rate[1, 1] = 0
    assert run(rate, 127)[0][4] == -2048
    assert run(2047 - rate, 127)[0][4] == 2047


@pytest.mark.parametrize("place", range(8))
def test_a_neighbour_with_a_wrong_edge_is_caught(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rate = np.arange(1, 10).reshape(3, 3) * 200
    expected = reference(rate, 100)
    assert run(rate, 100)[0] == expected
    wrong = list(spatial.NEIGHBOURS)
    wrong[place] = ("top",) if wrong[place] != ("top",) else ("left",)
    monkeypatch.setattr(spatial, "NEIGHBOURS", tuple(wrong))
    assert run(rate, 100)[0] != expected
