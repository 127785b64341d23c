"""Bench of the cue unit: cues equal the interpreter's; one item follows the other as soon as it may."""

from typing import Any

import numpy as np

from sparta_hw.interpreter.cues import spike_cues
from sparta_rtl.cues import cue_item_cycles
from sparta_rtl.layouts import CUES, cue_layout, spike_item_layout
from sparta_sim.benches.streams import Bench, bits_of, unit_test
from sparta_sim.benches.tokens import random_tokens


def _items(bench: Bench, spikes: np.ndarray) -> list[int]:
    """Items of one layer in the neuron array's order: tile, position, group."""
    config = bench.config
    steps, channels, tokens = spikes.shape
    tiles, groups = -(-channels // config.lanes), config.groups(steps)
    padded = np.zeros((groups * config.steps, tiles * config.lanes, tokens), np.int64)
    padded[:steps, :channels] = spikes
    grouped = padded.reshape(groups, config.steps, tiles, config.lanes, tokens)
    words = (grouped << np.arange(config.steps)[:, None, None, None]).sum(axis=1)
    layout = spike_item_layout(config)
    return [
        bits_of(
            layout,
            {
                "position": position,
                "tile": tile,
                "first_tile": tile == 0,
                "last_group": group == groups - 1,
                "words": words[group, tile, :, position].tolist(),
            },
        )
        for tile in range(tiles)
        for position in range(tokens)
        for group in range(groups)
    ]


async def _layer(bench: Bench, spikes: np.ndarray) -> None:
    dut, config = bench.dut, bench.config
    steps, channels, tokens = spikes.shape
    dut.steps.value, dut.outputs.value, dut.tiles.value = steps, channels, -(-channels // config.lanes)
    accepted = await bench.send("i", _items(bench, spikes))
    if not bench.stall:
        last_groups = accepted[config.groups(steps) - 1 :: config.groups(steps)]
        assert set(np.diff(last_groups)) <= {cue_item_cycles(config, steps)}
    await bench.tick()
    while not int(dut.idle.value):
        await bench.tick()
    layout = cue_layout(config)
    expected = spike_cues(spikes.reshape(1, steps, channels, 1, tokens))
    for token, row in enumerate(await bench.read("cues", tokens)):
        found = layout.from_bits(row)
        assert [found[cue] for cue in CUES] == [cue[0, token] for cue in expected]


@unit_test
async def cues_equal_interpreter(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    config, rng = bench.config, np.random.default_rng(bench.rng.getrandbits(32))
    for steps in range(1, config.max_steps + 1):
        channels, tokens = (int(rng.integers(1, n + 1)) for n in (config.max_features, config.max_tokens))
        await _layer(bench, random_tokens(rng, steps, channels, tokens))
    full = (config.max_steps, config.max_features, config.max_tokens)
    await _layer(bench, np.zeros(full, np.int64))
    await _layer(bench, np.ones(full, np.int64))
    await _layer(bench, random_tokens(rng, *full))
