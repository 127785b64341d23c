"""The neuron array with streamed weights: the same results, whatever the memory does, and its waits counted."""

from dataclasses import replace

import pytest
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from sparta_hw.config import CoreConfig
from sparta_rtl import neuron_array
from sparta_rtl.neuron_array import NeuronArray
from sparta_rtl.tiles import TileSequence
from sparta_rtl.weight_stream import StreamedWeights
from tests.altered import altered_unit
from tests.rtl.axi_memory import AxiMemory
from tests.rtl.layer_bench import CONFIGS, Bench, Case, Run, random_case
from tests.rtl.layer_reference import run_layer
from tests.rtl.test_neuron_array import times

CONFIG = replace(CONFIGS["square"], name="streamed", weight_rows=256, stream_bits=32)


class StreamedBench(Bench):
    """:class:`Bench` whose array has its weights from external memory, the tiles of all cases in their order."""

    memories = ("spikes",)

    def __init__(self, config: CoreConfig, cases: list[Case], array: type = NeuronArray, **memory) -> None:
        super().__init__(config, array)
        self.top.submodules.weights = self.weights = StreamedWeights(config)
        connect(self.top, self.dut.weights, self.weights.read)
        connect(self.top, self.dut.ring, self.weights.ring)
        rows = [row for case in cases for row in tile_rows(case)]
        image = b"".join(row.to_bytes(config.lanes, "little") for row in rows)
        self.memory = AxiMemory(self.weights.axi, image, **memory)
        self.rows, self.stalls = len(rows), []

    def simulator(self) -> Simulator:
        sim = super().simulator()
        sim.add_testbench(self.memory.run, background=True)
        return sim

    async def begin(self, ctx) -> None:
        ctx.set(self.weights.control.rows, self.rows)
        ctx.set(self.weights.control.restart, 1)
        await ctx.tick()
        ctx.set(self.weights.control.restart, 0)

    async def _layer(self, ctx, rng, stall: float) -> Run:
        run = await super()._layer(ctx, rng, stall)
        self.stalls.append(ctx.get(self.dut.stalls))
        return run


def tile_rows(case: Case) -> list[int]:
    """Weight rows of a case's tiles, as they are streamed."""
    pitch, base = case.fields["weight_pitch"], case.fields["weight_base"]
    return case.memories.weights[base : base + case.fields["tiles"] * pitch]


CASES = [random_case(CONFIGS["square"], seed) for seed in range(8)]


@pytest.mark.parametrize(
    ("latency", "pauses"), [((1, 1), 0.0), ((400, 400), 0.0), ((1, 50), 0.9)], ids=["near", "far", "slow"]
)
def test_results_and_cycles(latency: tuple[int, int], pauses: float) -> None:
    bench = StreamedBench(CONFIG, CASES, latency=latency, pauses=pauses)
    runs = bench.run(CASES * 2)
    assert not bench.memory.breaches
    for case, run, stalls in zip(CASES * 2, runs, bench.stalls, strict=True):
        items, entries = run_layer(CONFIG, case.fields, case.memories)
        assert (run.items, run.entries) == (items, entries)
        alone = times(CONFIG, case).cycles
        assert alone <= run.cycles <= alone + stalls, "what is under way goes on while a tile waits"
    assert any(bench.stalls[1:]) == (latency != (1, 1))  # the first layer begins with an empty ring


def test_tiles_that_do_not_wait_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    hasty = altered_unit(TileSequence, "there.eq(ring.filled >= ", "there.eq(1 | ")
    monkeypatch.setattr(neuron_array, "TileSequence", hasty)
    runs = StreamedBench(CONFIG, CASES, latency=(400, 400)).run(CASES)
    assert [run.items for run in runs] != [run_layer(CONFIG, case.fields, case.memories)[0] for case in CASES]
