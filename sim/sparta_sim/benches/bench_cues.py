"""Bench of the cue unit: sums equal the interpreter's cues; max(T, 4) cycles from one item to the next."""

from typing import Any

import numpy as np

from sparta_rtl.cues import cue_sums_layout
from sparta_rtl.layouts import spike_item_layout
from sparta_sim.benches.streams import Bench, bits_of, unit_test
from sparta_sim.benches.tokens import cue_sums, random_tokens


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
    dut.steps.value, dut.outputs.value = steps, channels
    accepted = await bench.send("i", _items(bench, spikes))
    if not bench.stall:
        last_groups = accepted[config.groups(steps) - 1 :: config.groups(steps)]
        assert set(np.diff(last_groups)) <= {max(steps, 4)}
    await bench.tick()
    while not int(dut.idle.value):
        await bench.tick()
    layout, expected = cue_sums_layout(config), cue_sums(spikes)
    for token, row in enumerate(await bench.read("sums", tokens)):
        found = layout.from_bits(row)
        assert {name: found[name] for name in expected} == {name: s[token] for name, s in expected.items()}


@unit_test
async def sums_equal_interpreter(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    config, rng = bench.config, np.random.default_rng(bench.rng.getrandbits(32))
    for steps in range(1, config.max_steps + 1):
        channels, tokens = (int(rng.integers(1, n + 1)) for n in (config.max_features, config.max_tokens))
        await _layer(bench, random_tokens(rng, steps, channels, tokens))
    full = (config.max_steps, config.max_features, config.max_tokens)
    await _layer(bench, np.zeros(full, np.int64))
    await _layer(bench, np.ones(full, np.int64))
    await _layer(bench, random_tokens(rng, *full))
