import random

import pytest
from amaranth.hdl import Module, unsigned
from amaranth.lib import memory
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from sparta_hw.config import CoreConfig
from sparta_rtl.rows import WindowRows
from sparta_rtl.scanner import LineScanner
from tests.rtl.layer_bench import CONFIGS, Case, random_case
from tests.rtl.layer_reference import window, word


class ScanBench:
    """Row generator and scanner with their memories."""

    def __init__(self, config: CoreConfig, case: Case) -> None:
        self.config, self.case, self.top = config, case, Module()
        self.top.submodules.rows = self.rows = WindowRows(config)
        self.top.submodules.scanner = self.scanner = LineScanner(config)
        connect(self.top, self.rows.o, self.scanner.i)
        for name, port in (("spikes", self.scanner.spikes),):
            init = getattr(case.memories, name)
            cells = memory.Memory(shape=unsigned(len(port.data)), depth=1 << len(port.addr), init=init)
            self.top.submodules[name] = cells
            read = cells.read_port()
            self.top.d.comb += [read.en.eq(port.en), read.addr.eq(port.addr), port.data.eq(read.data)]

    def run(self, stall: float = 0.0) -> tuple[list[dict], list[int]]:
        """Lines of one tile, and the cycles in which they came out."""
        lines, times, rng = [], [], random.Random(9)
        o = self.scanner.o

        async def process(ctx) -> None:
            fields = {name: int(value) for name, value in self.case.fields.items()}
            ctx.set(self.rows.layer, fields)
            ctx.set(self.scanner.layer, fields)
            ctx.set(self.rows.topk, self.case.memories.topk)
            ctx.set(self.rows.first_weight, fields["weight_base"] + 6)
            ctx.set(self.rows.start, 1)
            cycle = 0
            while not (lines and lines[-1]["final"]):
                ctx.set(o.ready, rng.random() >= stall)
                if ctx.get(o.valid) and ctx.get(o.ready):
                    line = {name: ctx.get(o.payload[name]) for name in ("mask", "weight", "end", "final")}
                    lines.append(line | {"words": [ctx.get(w) for w in o.payload.words]})
                    times.append(cycle)
                await ctx.tick()
                ctx.set(self.rows.start, 0)
                cycle += 1

        sim = Simulator(self.top)
        sim.add_clock(1e-6)
        sim.add_testbench(process)
        sim.run()
        return lines, times


def scanned(config: CoreConfig, lines: list[dict]) -> list[list[tuple[int, int]]]:
    """(weight row, S step bits) of the active entries, a list for each position and group."""
    groups: list[list[tuple[int, int]]] = [[]]
    for line in lines:
        assert line["mask"] or line["end"]
        for n in range(config.line):
            if line["mask"] >> n & 1:
                groups[-1].append(((line["weight"] + n) % config.weight_rows, line["words"][n]))
        assert line["mask"] or not groups[-1], "an empty line ends a group with entries"
        if line["end"]:
            groups.append([])
    assert groups.pop() == []
    return groups


def expected(config: CoreConfig, case: Case) -> list[list[tuple[int, int]]]:
    fields, memories, mask = case.fields, case.memories, (1 << config.steps) - 1
    positions = memories.topk if fields["ranked"] else fields["out_height"] * fields["out_width"]
    first = fields["weight_base"] + 6
    groups = []
    for position in range(positions):
        entries = [(word(config, fields, memories, e), first + row) for e, row in window(fields, position)]
        for g in range(fields["groups"]):
            bits = [(row, w >> g * config.steps & mask) for w, row in entries]
            groups.append([(row, b) for row, b in bits if b or fields["dense"]])
    return groups


@pytest.mark.parametrize("stall", [0.0, 0.7])
@pytest.mark.parametrize("name", ["square", "long line", "one step"])
def test_active_entries_of_random_layers(name: str, stall: float) -> None:
    for seed in range(5):
        case = random_case(CONFIGS[name], 50 + seed)
        lines, _ = ScanBench(CONFIGS[name], case).run(stall)
        assert scanned(CONFIGS[name], lines) == expected(CONFIGS[name], case)
        assert [line["final"] for line in lines] == [0] * (len(lines) - 1) + [1]


def vector_case(entries: int, spikes: list[int]) -> Case:
    """One position that reads ``entries`` entries of one step group."""
    case = random_case(CONFIGS["square"], 3, kind="vector")
    case.fields.update(in_base=0, row_pitch=entries, run=entries, groups=1, steps=4, tiles=1, dense=0)
    case.memories.spikes[: len(spikes)] = spikes
    return case


def test_silent_lines_take_one_cycle_each() -> None:
    """Row at 6, first read at 7, there five cycles later: the last of 50 lines at 7 + 49 + 5."""
    lines, times = ScanBench(CONFIGS["square"], vector_case(200, [0] * 50)).run()
    assert [line["mask"] for line in lines] == [0]
    assert times == [61]


def test_active_lines_take_one_cycle_each() -> None:
    _, times = ScanBench(CONFIGS["square"], vector_case(200, [1] * 50)).run()
    assert times == list(range(12, 62))


def test_missing_entry_is_noticed() -> None:
    config, case = CONFIGS["square"], vector_case(16, [0x8421, 0x8421, 0x8421, 0x8421])
    lines, _ = ScanBench(config, case).run()
    case.fields["run"] = 15
    assert scanned(config, lines) != expected(config, case)
