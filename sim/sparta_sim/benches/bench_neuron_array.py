"""Bench of the neuron array: LAYER descriptors give the interpreter's spikes and integers."""

from typing import Any

import numpy as np

from sparta_hw.descriptor import Op, decode, encode
from sparta_rtl.layouts import spike_item_layout, value_item_layout
from sparta_sim.benches.layer_cases import LayerCase, convolution_case, projection_case
from sparta_sim.benches.memories import expect_lines, spike_rows
from sparta_sim.benches.streams import Bench, ReadMemory, Sink, unit_test
from sparta_sim.cycles.array import layer_times
from sparta_sim.cycles.model import entry_words


class _Array:
    """A neuron array with memories and sinks."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.spikes, self.values = Sink(bench, "o_spikes"), Sink(bench, "o_values")
        self.memories = {name: ReadMemory(bench, name) for name in ("spikes", "weights")}

    async def run(self, case: LayerCase) -> None:
        """Execute a layer; compare cycles and active entries with the model, results with the interpreter."""
        bench, config = self.bench, self.bench.config
        self.memories["spikes"].rows = spike_rows(config, case.source, case.values)
        self.memories["weights"].rows = case.weights
        descriptor = encode(Op.LAYER, "bench", **case.fields)
        bench.dut.layer.value, bench.dut.topk.value = descriptor, case.topk
        elapsed = await bench.execute()
        words = entry_words(case.source, case.values, config)
        cycles, entries, *_ = layer_times(config, decode(descriptor) | {"cues": 0}, words, case.topk)
        assert int(bench.dut.entries.value) == entries
        assert elapsed >= cycles if bench.stall else elapsed == cycles
        if case.fields.get("integer"):
            self._expect_values(case)
        else:
            self._expect_spikes(case)

    def _expect_spikes(self, case: LayerCase) -> None:
        config, fields = self.bench.config, case.fields
        items = [spike_item_layout(config).from_bits(item) for item in self.spikes.items]
        order = [(o.tile, o.position, o.first_tile, o.last_group) for o in items]
        assert order == [
            (tile, position, tile == 0, group == fields["groups"] - 1)
            for tile in range(fields["tiles"])
            for position in range(fields["out_height"] * fields["out_width"])
            for group in range(fields["groups"])
        ]
        segments, bits = config.segments, config.lanes * config.steps
        writes = [(o.line, o.words.as_bits() << o.segment * bits, 1 << o.segment) for o in items]
        assert all(o.segment < segments for o in items)
        expect_lines(config, writes, case.target, case.expected)
        assert not self.values.items
        self.spikes.items.clear()

    def _expect_values(self, case: LayerCase) -> None:
        config, tiles = self.bench.config, case.fields["tiles"]
        positions, outputs = case.expected.shape
        padded = np.pad(case.expected, ((0, 0), (0, tiles * config.lanes - outputs)))
        lanes = padded.reshape(positions, tiles, config.lanes)
        items = [value_item_layout(config).from_bits(item) for item in self.values.items]
        assert [(o.tile, o.position, [o.values[lane] for lane in range(config.lanes)]) for o in items] == [
            (tile, position, lanes[position, tile].tolist())
            for tile in range(tiles)
            for position in range(positions)
        ]
        assert not self.spikes.items
        self.values.items.clear()


@unit_test
async def convolutions_equal_interpreter(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    array, rng = _Array(bench), np.random.default_rng(bench.rng.getrandbits(32))
    for _ in range(12):
        await array.run(convolution_case(bench.config, rng))


@unit_test
async def projections_equal_interpreter(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    array, rng = _Array(bench), np.random.default_rng(bench.rng.getrandbits(32))
    for ranked in (True, False, True, False, True):
        await array.run(projection_case(bench.config, rng, ranked))
