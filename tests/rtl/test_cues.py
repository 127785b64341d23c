import random
from collections.abc import Sequence

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.hdl import Cat, Module, Signal
from amaranth.sim import Simulator
from numpy.typing import NDArray

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_rtl import cues
from sparta_rtl.cues import CueUnit, cue_item_cycles
from sparta_rtl.layouts import CUES, cue_layout
from sparta_rtl.popcount import popcount

IntArray = NDArray[np.int64]


def core(lanes: int, steps: int, max_steps: int) -> CoreConfig:
    return CoreConfig(
        name="test", lanes=lanes, line=lanes, steps=steps, max_steps=max_steps, max_tokens=8, max_topk=8
    )


def reference(spikes: IntArray) -> IntArray:
    """First, interval, burst, rate (N, 4) of spikes (N, C, T), by the definitions of ARCHITECTURE.md."""
    channels, steps = spikes.shape[1:]
    some = spikes.any(axis=2)
    first = np.where(some, spikes.argmax(axis=2), steps)
    last = np.where(some, steps - 1 - spikes[:, :, ::-1].argmax(axis=2), first)
    span = (last - first).sum(axis=1)
    count = spikes.sum(axis=2)
    burst = (spikes[:, :, :-1] & spikes[:, :, 1:]).sum(axis=2)
    gaps = np.maximum(count - 1, 0).sum(axis=1)
    interval = np.where(gaps > 0, (span << 3) // np.maximum(gaps, 1), steps << 3)
    means = [(sums.sum(axis=1) << 3) // channels for sums in (first, burst, count)]
    return np.stack([means[0], interval, means[1], means[2]], axis=1)


def tiles_of(config: CoreConfig, channels: int) -> int:
    """Tiles of a layer; the last one is padding, as where L > P."""
    return -(-channels // config.lanes) + 1


def items(config: CoreConfig, spikes: IntArray, silent: Sequence[int] = ()) -> list[dict[str, int]]:
    """Items in the neuron array's order: tile, position, group; later ``silent`` positions have the words of the first.

    Their own words are zero here, so that it shows where these count.
    """
    tokens, channels, steps = spikes.shape
    tiles, groups = tiles_of(config, channels), config.groups(steps)
    padded = np.zeros((tokens, tiles * config.lanes, groups * config.steps), int)
    padded[:, :channels, :steps] = spikes
    return [
        {
            "position": position,
            "tile": tile,
            "first_tile": tile == 0,
            "last_group": group == groups - 1,
            "kept": position in silent[:1],
            "copied": position in silent[1:],
            "words": [
                int(sum(int(bit) << s for s, bit in enumerate(word))) * (position not in silent[1:])
                for word in padded[
                    position,
                    tile * config.lanes : (tile + 1) * config.lanes,
                    group * config.steps : (group + 1) * config.steps,
                ]
            ],
        }
        for tile in range(tiles)
        for position in range(tokens)
        for group in range(groups)
    ]


def run(
    config: CoreConfig, layers: list[IntArray], stall: float = 0.0, silent: Sequence[int] = ()
) -> tuple[list[IntArray], list[int]]:
    """Cues of one layer after the other, and the cycles between accepted last groups."""
    dut, rng, results, accepted = CueUnit(config), random.Random(7), [], []
    layout = cue_layout(config)

    async def bench(ctx):
        cycle = 0
        for spikes in layers:
            tokens, channels, steps = spikes.shape
            ctx.set(dut.steps, steps)
            ctx.set(dut.outputs, channels)
            ctx.set(dut.tiles, tiles_of(config, channels))
            for item in items(config, spikes, silent):
                while rng.random() < stall:
                    await ctx.tick()
                    cycle += 1
                ctx.set(dut.i.payload, item)
                ctx.set(dut.i.valid, 1)
                ready = False
                while not ready:
                    _, _, ready, idle = await ctx.tick().sample(dut.i.ready, dut.idle)
                    cycle += 1
                    assert not idle
                if item["last_group"]:
                    accepted.append(cycle)
                ctx.set(dut.i.valid, 0)
            await ctx.tick().until(dut.idle)
            ctx.set(dut.cues.en, 1)
            rows = []
            for token in range(tokens):
                ctx.set(dut.cues.addr, token)
                await ctx.tick()
                row = layout.from_bits(ctx.get(dut.cues.data))
                rows.append([row[cue] for cue in CUES])
            ctx.set(dut.cues.en, 0)
            results.append(np.array(rows))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return results, accepted


def random_spikes(shape: tuple[int, int, int], seed: int = 0) -> IntArray:
    rng = np.random.default_rng(seed)
    return (rng.random(shape) < rng.random((*shape[:2], 1))).astype(int)


@pytest.mark.parametrize("stall", [0.0, 0.7])
@pytest.mark.parametrize(
    ("lanes", "steps", "max_steps", "shape"),
    [
        (4, 8, 8, (5, 12, 8)),  # whole tiles
        (4, 8, 8, (3, 6, 5)),  # padding lanes, T < S
        (4, 4, 16, (3, 10, 16)),  # several groups
        (4, 4, 16, (3, 10, 6)),  # fewer groups than held, last one not full
        (2, 1, 5, (2, 3, 5)),  # S = 1
        (8, 4, 4, (8, 3, 1)),  # T = 1, one tile not full
        (2, 1, 1, (2, 4, 1)),  # the smallest word
        (4, 32, 32, (1, 8, 32)),  # one position: its sums go on before they are written
    ],
)
def test_cues_equal_reference(
    lanes: int, steps: int, max_steps: int, shape: tuple[int, int, int], stall: float
) -> None:
    layers = [
        random_spikes(shape, seed=1),
        np.zeros(shape, int),
        np.ones(shape, int),
        random_spikes(shape, seed=2),
    ]
    results, _ = run(core(lanes, steps, max_steps), layers, stall)
    for spikes, found in zip(layers, results, strict=True):
        np.testing.assert_array_equal(found, reference(spikes))


@pytest.mark.parametrize("stall", [0.0, 0.7])
@pytest.mark.parametrize("length", [1, 3, 8])
@pytest.mark.parametrize("silent", [(0, 1, 2, 3, 4, 5), (1, 3, 4), (0, 5), (4,)])
def test_copied_items_count_as_the_one_that_was_kept(
    silent: tuple[int, ...], length: int, stall: float
) -> None:
    layers = [random_spikes((6, 10, length), seed=seed) for seed in (1, 2)]
    for spikes in layers:
        spikes[list(silent)] = spikes[silent[0]]
    config = core(4, 8, 8)
    results, accepted = run(config, layers, stall, silent)
    for spikes, found in zip(layers, results, strict=True):
        np.testing.assert_array_equal(found, reference(spikes))
    if not stall:
        cycles = [cue_item_cycles(config, length, position in silent[1:]) for position in range(6)]
        assert list(np.diff(accepted[:6])) == cycles[:5]


def test_layers_of_different_length_share_the_unit() -> None:
    layers = [random_spikes((4, 6, steps), seed=steps) for steps in (16, 3, 9, 1, 16)]
    results, _ = run(core(4, 4, 16), layers)
    for spikes, found in zip(layers, results, strict=True):
        np.testing.assert_array_equal(found, reference(spikes))


@pytest.mark.parametrize(("steps", "length", "cycles"), [(8, 1, 5), (8, 8, 8), (4, 16, 16)])
def test_an_item_takes_its_steps_but_a_division_at_least(steps: int, length: int, cycles: int) -> None:
    config = core(4, steps, 16)
    _, accepted = run(config, [random_spikes((6, 4, length))])
    assert set(np.diff(accepted)) == {cycles} == {cue_item_cycles(config, length)}


@pytest.mark.parametrize("width", [1, 2, 3, 7, 10])
def test_popcount(width: int) -> None:
    m, bits, count = Module(), Signal(width), Signal(range(width + 1))
    m.d.comb += count.eq(popcount(bits))

    async def bench(ctx):
        for value in range(1 << width):
            ctx.set(bits, value)
            assert ctx.get(count) == value.bit_count()

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()


def test_a_wrong_popcount_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cues, "popcount", lambda bits: popcount(Cat(list(bits)[1:])))
    spikes = random_spikes((3, 8, 8))
    results, _ = run(core(4, 8, 8), [spikes])
    assert (results[0] != reference(spikes)).any()


@pytest.mark.parametrize("name", [name for name, core in NAMED_CONFIGS.items() if core.attention])
def test_converts_to_verilog(name: str) -> None:
    assert "module top" in verilog.convert(CueUnit(NAMED_CONFIGS[name]))
