"""Streamed weights: every row once, in order, whatever the memory does; restarts and errors in mid-burst."""

import random

import pytest
from amaranth.sim import Simulator

from sparta_hw.config import CoreConfig
from sparta_rtl.weight_stream import StreamedWeights
from sparta_sim.cycles.stream import WeightStream
from tests.altered import altered_unit
from tests.rtl.axi_memory import AxiMemory

CONFIGS = {
    config.name: config
    for config in (
        CoreConfig(name="a beat a row", lanes=4, line=4, weight_rows=64, stream_bits=32),
        CoreConfig(name="two beats a row", lanes=16, weight_rows=64, stream_bits=64),
        CoreConfig(name="eight beats a row", lanes=32, line=32, weight_rows=16, stream_bits=32),
        CoreConfig(name="wide", lanes=128, line=128, weight_rows=32, stream_bits=1024),
        CoreConfig(name="bursts of 4 KiB", lanes=128, line=128, weight_rows=512, stream_bits=512),
    )
}
BASE = 0x7654_3000


def random_tiles(config: CoreConfig, rng: random.Random, count: int) -> list[int]:
    """Rows of tiles, of which any two neighbours fit the ring with a burst."""
    return [rng.randint(1, (config.weight_rows - config.burst_rows) // 2) for _ in range(count)]


class Bench:
    """Streams an image that has the given tiles, and takes tile after tile as the array does."""

    def __init__(self, config: CoreConfig, tiles: list[int], unit: type = StreamedWeights, **memory) -> None:
        self.config, self.tiles, self.rng = config, tiles, random.Random(3)
        self.image = self.rng.randbytes(sum(tiles) * config.lanes)
        self.dut = unit(config)
        self.memory = AxiMemory(self.dut.axi, self.image, BASE, **memory)
        self.begins: list[int] = []
        self.releases: list[int] = []
        self.restarted = 0

    def run(self, bench) -> None:
        """Simulate, with the memory in the background."""
        sim = Simulator(self.dut)
        sim.add_clock(1e-6)
        sim.add_testbench(self.memory.run, background=True)
        sim.add_testbench(bench)
        sim.run()
        assert not self.memory.breaches

    async def restart(self, ctx) -> None:
        """Begin the image."""
        self.restarted = self.memory.cycle
        ctx.set(self.dut.control.base, BASE >> 12)
        ctx.set(self.dut.control.rows, sum(self.tiles))
        ctx.set(self.dut.control.restart, 1)
        await ctx.tick()
        ctx.set(self.dut.control.restart, 0)

    async def take(self, ctx, tiles: list[int], patient: bool = True) -> None:
        """Wait for each tile, read its rows in any order, and release it."""
        dut, lanes, first = self.dut, self.config.lanes, 0
        for rows in tiles:
            waited = 0
            while patient and ctx.get(dut.ring.filled) < rows:
                await ctx.tick()
                waited += 1
                assert waited < 5000, "a tile never comes"
            self.begins.append(self.memory.cycle)
            oldest = ctx.get(dut.ring.oldest)
            for row in self.rng.sample(range(rows), min(rows, 12)):
                ctx.set(dut.read.en, 1)
                ctx.set(dut.read.addr, (oldest + row) % self.config.weight_rows)
                await ctx.tick()
                at = (first + row) * lanes % len(self.image)
                found = ctx.get(dut.read.data).to_bytes(lanes, "little")
                assert found == self.image[at : at + lanes], f"row {first + row} of the stream"
            first += rows
            self.releases.append(self.memory.cycle)
            ctx.set(dut.ring.released, rows)
            ctx.set(dut.ring.release, 1)
            await ctx.tick()
            ctx.set(dut.ring.release, 0)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("latency", "pauses"), [((1, 1), 0.0), ((1, 60), 0.5)], ids=["ideal", "slow"])
def test_every_row_arrives_in_order(name: str, latency: tuple[int, int], pauses: float) -> None:
    config = CONFIGS[name]
    tiles = random_tiles(config, random.Random(name), 9)
    bench = Bench(config, tiles, latency=latency, pauses=pauses)

    async def process(ctx) -> None:
        await bench.restart(ctx)
        await bench.take(ctx, tiles * 3)
        assert ctx.get(bench.dut.control.failed) == 0

    bench.run(process)
    assert max(burst.beats for burst in bench.memory.bursts) == config.burst_beats


def test_bursts_are_as_large_as_axi_and_the_ring_allow() -> None:
    assert [config.burst_beats for config in CONFIGS.values()] == [8, 16, 16, 4, 64]
    assert CoreConfig(name="", lanes=16, weight_rows=4096, stream_bits=32).burst_beats == 256


@pytest.mark.parametrize("name", ["a beat a row", "two beats a row", "eight beats a row"])
@pytest.mark.parametrize("latency", [1, 25])
def test_rows_come_when_the_cycle_model_says(name: str, latency: int) -> None:
    config = CONFIGS[name]
    tiles = random_tiles(config, random.Random(1), 12)
    bench = Bench(config, tiles, latency=(latency, latency))

    async def process(ctx) -> None:
        await bench.restart(ctx)
        await ctx.tick().repeat(2 * config.weight_rows * config.row_beats + 100)  # the ring fills
        await bench.take(ctx, tiles * 2)

    bench.run(process)
    assert bench.memory.bursts[0].accepted == bench.restarted + 3
    model, ready, waited = WeightStream(config, sum(tiles), latency), bench.begins[0], 0
    for rows, begin, release in zip(tiles * 2, bench.begins, bench.releases, strict=True):
        assert begin == max(ready, model.rows_there(rows))
        waited += begin > ready
        model.release(rows, release)
        ready = release + 1
    assert waited > 3


@pytest.mark.parametrize("pauses", [0.0, 0.7])
def test_a_restart_at_any_cycle_loses_nothing_and_breaks_no_rule(pauses: float) -> None:
    config, rng = CONFIGS["two beats a row"], random.Random(5)
    tiles = random_tiles(config, rng, 5)
    bench = Bench(config, tiles, latency=(1, 40), pauses=pauses)

    async def process(ctx) -> None:
        for _ in range(40):
            await bench.restart(ctx)
            if rng.random() < 0.5:
                await ctx.tick().until(bench.dut.axi.arvalid)  # with pauses it most often still waits
                await bench.restart(ctx)
            await ctx.tick().repeat(rng.randint(1, 40))
            if rng.random() < 0.5:
                await bench.restart(ctx)
            await bench.take(ctx, tiles[: rng.randint(0, 5)])

    bench.run(process)


def test_nothing_is_asked_for_without_an_image() -> None:
    bench = Bench(CONFIGS["wide"], [3])

    async def process(ctx) -> None:
        await ctx.tick().repeat(50)
        ctx.set(bench.dut.control.restart, 1)
        await ctx.tick()
        ctx.set(bench.dut.control.restart, 0)
        await ctx.tick().repeat(50)

    bench.run(process)
    assert not bench.memory.bursts


def test_rows_after_an_error_never_count() -> None:
    config = CONFIGS["two beats a row"]
    tiles = [5, 6, 7]
    bench = Bench(config, tiles, latency=(3, 3))
    bench.memory.bad = {
        BASE + 11 * config.lanes + 8
    }  # second beat of row 11, the first one of the third tile

    async def process(ctx) -> None:
        control = bench.dut.control
        for _ in range(2):
            await bench.restart(ctx)
            await bench.take(ctx, tiles[:2])
            await ctx.tick().repeat(100)
            assert ctx.get(control.failed) == 1
            assert ctx.get(bench.dut.ring.filled) == 0
            asked = len(bench.memory.bursts)
            await ctx.tick().repeat(100)
            assert len(bench.memory.bursts) == asked
        bench.memory.bad = set()
        await bench.restart(ctx)
        await bench.take(ctx, tiles * 2)
        assert ctx.get(control.failed) == 0

    bench.run(process)


FAULTS = {
    "rows are overwritten before they are released": ("(room >= burst)", "(room != 0)"),
    "beats of before a restart count": (
        "axi.rvalid & ~self._restarting & ~self.control.failed",
        "axi.rvalid",
    ),
    "a row counts before its last beat": ("(place == config.row_beats - 1)", "(place == 0)"),
    "an offered address is withdrawn": (
        "with m.If(axi.arready):",
        "with m.If(axi.arready | self.control.restart):",
    ),
    "the image's last row is left out": (
        "left.eq(Mux(last, total,",
        "left.eq(Mux(last, total - config.row_beats,",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_noticed(fault: str) -> None:
    config, rng = CONFIGS["two beats a row"], random.Random(2)
    tiles = random_tiles(config, rng, 5)
    bench = Bench(config, tiles, altered_unit(StreamedWeights, *FAULTS[fault]), latency=(1, 30), pauses=0.3)

    async def process(ctx) -> None:
        for _ in range(10):
            await bench.restart(ctx)
            await ctx.tick().repeat(rng.randint(1, 60))
            await bench.restart(ctx)
            await bench.take(ctx, tiles * 2)

    with pytest.raises((AssertionError, TimeoutError)):
        bench.run(process)


def test_an_underrun_that_is_ignored_is_noticed() -> None:
    config = CONFIGS["two beats a row"]
    tiles = random_tiles(config, random.Random(2), 5)
    bench = Bench(config, tiles, latency=(20, 20))

    async def process(ctx) -> None:
        await bench.restart(ctx)
        await bench.take(ctx, tiles * 2, patient=False)

    with pytest.raises(AssertionError, match="of the stream"):
        bench.run(process)
