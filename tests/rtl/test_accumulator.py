import random

import pytest
from amaranth.hdl import Const
from amaranth.sim import Simulator

from sparta_hw.config import CoreConfig
from sparta_rtl.accumulator import Accumulators
from sparta_rtl.issue import GROUPS_AHEAD, EntryIssue, entry_layout

CONFIG = CoreConfig(name="small", lanes=2, steps=3, line=8, acc_bits=12, weight_rows=64)


def random_lines(rng: random.Random, count: int) -> list[dict]:
    lines = []
    for _ in range(count):
        end = rng.random() < 0.4
        mask = rng.choice([0, 1 << 7, 255, rng.randrange(256)]) if end else rng.randrange(1, 256)
        words = [rng.randrange(8) for _ in range(8)]
        lines.append({"mask": mask, "words": words, "weight": rng.randrange(64), "end": end, "final": 0})
    return lines


def issued(lines: list[dict]) -> list[dict]:
    """Reference of the issue stage: what becomes of the lines."""
    entries = []
    for line in lines:
        places = [n for n in range(8) if line["mask"] >> n & 1]
        for n in places:
            last = n == places[-1] and line["end"]
            entries.append(
                {"weight": (line["weight"] + n) % 64, "read": 1, "steps": line["words"][n], "end": last}
            )
        if not places:
            entries.append({"read": 0, "steps": 0, "end": True})
    return entries


def offered_line(line: dict) -> dict:
    """The line with what the scanner knows of its mask."""
    return line | {"single": line["mask"].bit_count() <= 1, "empty": line["mask"] == 0}


async def opened(ctx, dut: EntryIssue) -> None:
    """A tile's entries may be issued."""
    ctx.set(dut.opens, 1)
    await ctx.tick()
    ctx.set(dut.opens, 0)


def run_issue(
    lines: list[dict], stall: float, wait: int, seed: int
) -> tuple[list[dict], list[int], list[int]]:
    """Entries, the cycles in which they came out, and those of ``free``: ``wait`` cycles after each end."""
    dut, rng = EntryIssue(CONFIG), random.Random(seed)
    entries, times, pulses, expected = [], [], [], len(issued(lines))

    async def process(ctx) -> None:
        await opened(ctx, dut)
        cycle, place = 0, 0
        while len(entries) < expected:
            offered = ctx.get(dut.i.valid)
            if not offered and place < len(lines) and rng.random() >= stall:
                ctx.set(dut.i.payload, offered_line(lines[place]))
                ctx.set(dut.i.valid, 1)
            ctx.set(dut.free, cycle in pulses)
            ctx.set(dut.taken, cycle in pulses)
            if ctx.get(dut.valid):
                entry = Const(ctx.get(dut.entry.as_value()), entry_layout(CONFIG).size)
                entry = entry_layout(CONFIG).from_bits(entry.value)
                read = {"weight": entry.weight} if entry.read else {}
                entries.append({"read": entry.read, "steps": entry.steps, "end": entry.end, **read})
                times.append(cycle)
                if entry.end:
                    pulses.append(cycle + wait)
            taken = ctx.get(dut.i.valid) and ctx.get(dut.i.ready)
            await ctx.tick()
            cycle += 1
            if taken:
                place += 1
                ctx.set(dut.i.valid, 0)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(process)
    sim.run()
    return entries, times, pulses


def test_issue_agrees_with_reference_under_stalls() -> None:
    for seed, (stall, wait) in enumerate([(0.0, 1), (0.5, 1), (0.9, 3), (0.2, 20)]):
        lines = random_lines(random.Random(seed), 40)
        entries, _, _ = run_issue(lines, stall, wait, seed)
        assert entries == issued(lines)


def test_issue_one_entry_a_cycle() -> None:
    lines = [{"mask": 1 << n, "words": [7] * 8, "weight": n, "end": n == 7, "final": 0} for n in range(8)]
    _, times, _ = run_issue(lines, 0.0, 1, 0)
    assert times == list(range(3, 11))  # load, entry, and two cycles of latency


def test_group_end_waits_for_free() -> None:
    """An end leaves two cycles after it was issued, which is at the earliest the cycle after ``free``."""
    lines = [{"mask": 3, "words": [1] * 8, "weight": 0, "end": 1, "final": 0} for _ in range(5)]
    entries, times, pulses = run_issue(lines, 0.0, 30, 0)
    ends = [time for time, entry in zip(times, entries, strict=True) if entry["end"]]
    assert ends[1:] == [pulse + 3 for pulse in pulses[: len(ends) - 1]]


def test_next_tile_waits_until_it_opens() -> None:
    """Two tiles of two lines; the second one's lines are there all the time, its header rows arrive later."""
    dut, times = EntryIssue(CONFIG), []
    lines = [{"mask": 3, "words": [1] * 8, "weight": 0, "end": n == 1, "final": n == 1} for n in (0, 1)] * 2

    async def process(ctx) -> None:
        await opened(ctx, dut)
        place = 0
        for cycle in range(60):
            ctx.set(dut.opens, cycle == 40)
            ctx.set(dut.free, cycle == 20)
            ctx.set(dut.i.valid, place < len(lines))
            if place < len(lines):
                ctx.set(dut.i.payload, offered_line(lines[place]))
                place += ctx.get(dut.i.ready)
            if ctx.get(dut.valid):
                times.append((cycle, ctx.get(dut.entry.final)))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(process)
    sim.run()
    assert times == [(3, 0), (4, 0), (5, 0), (6, 1), (44, 0), (45, 0), (46, 0), (47, 1)]


def ended(layer: dict, masks: list[int], free: int = 0, taken: int = 0) -> list[tuple[int, int]]:
    """``kept`` and ``copied`` of the groups that end, one line each, with so many pulses of ``free`` and ``taken``."""
    dut, found = EntryIssue(CONFIG), []
    lines = [{"mask": mask, "words": [1] * 8, "weight": 0, "end": 1, "final": 0} for mask in masks]

    async def process(ctx) -> None:
        ctx.set(dut.layer, layer)
        await opened(ctx, dut)
        place = 0
        for cycle in range(120):
            ctx.set(dut.free, 60 <= cycle < 60 + 10 * free and cycle % 10 == 0)
            ctx.set(dut.taken, 60 <= cycle < 60 + 10 * taken and cycle % 10 == 0)
            if place < len(lines):
                ctx.set(dut.i.payload, offered_line(lines[place]))
                ctx.set(dut.i.valid, 1)
                place += ctx.get(dut.i.ready)
            else:
                ctx.set(dut.i.valid, 0)
            if ctx.get(dut.valid) and ctx.get(dut.entry.end):
                found.append((ctx.get(dut.entry.kept), ctx.get(dut.entry.copied)))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(process)
    sim.run()
    return found


SPIKES, GROUPS, PLANES = {"groups": 1}, {"groups": 2}, {"groups": 1, "integer": 1}
KEPT, COPIED, OTHER = (1, 0), (0, 1), (0, 0)


def test_silent_positions_after_the_first_need_no_sums() -> None:
    assert ended(SPIKES, [0, 0, 0, 1, 0]) == [KEPT, COPIED, COPIED]
    assert ended(SPIKES, [0, 0, 0, 1, 0], free=1) == [KEPT, COPIED, COPIED, OTHER, COPIED]
    assert ended(SPIKES, [1, 0, 0], free=1) == [OTHER, KEPT, COPIED]
    assert ended(SPIKES, [0] * (GROUPS_AHEAD + 2) + [1], free=1, taken=4)[-2:] == [COPIED, OTHER]


@pytest.mark.parametrize("layer", [GROUPS, PLANES])
def test_where_a_position_has_several_groups_or_is_no_spikes_nothing_is_copied(layer: dict) -> None:
    assert ended(layer, [0, 0, 0], free=1) == [OTHER, OTHER]


def test_no_more_groups_end_than_have_a_place() -> None:
    silent = [0] * (GROUPS_AHEAD + 8)
    assert len(ended(SPIKES, silent)) == GROUPS_AHEAD
    assert len(ended(SPIKES, silent, taken=3)) == GROUPS_AHEAD + 3


def test_accumulators_agree_with_reference() -> None:
    """Groups without entries are copied: they have no sums, and those before stay."""
    dut, rng = Accumulators(CONFIG), random.Random(4)
    groups = [
        [(rng.randrange(1, 8), [rng.randint(-128, 127) for _ in range(2)]) for _ in range(n)]
        for n in (5, 1, 0, 8, 12, 0, 0, 1, 3)
    ]
    expected = [
        [[sum(w[lane] for bits, w in group if bits >> s & 1) for s in range(3)] for lane in range(2)]
        if group
        else "copied"
        for group in groups
    ]
    observed = []

    async def feed(ctx) -> None:
        for at, group in enumerate(groups):
            before = max((n for n in range(at) if groups[n]), default=-1)
            if not group:
                ctx.set(dut.valid, 1)
                ctx.set(dut.entry, {"end": 1, "copied": 1})
                await ctx.tick()
                ctx.set(dut.valid, 0)
            for n, (bits, row) in enumerate(group):
                end = n == len(group) - 1
                while end and len(observed) <= before:  # the sums before must have been taken
                    ctx.set(dut.valid, 0)
                    await ctx.tick()
                ctx.set(dut.valid, 1)
                ctx.set(
                    dut.entry, {"read": 1, "steps": bits, "end": end, "final": group is groups[-1] and end}
                )
                await ctx.tick()
                ctx.set(dut.valid, 0)
                ctx.set(dut.weights, sum((w & 255) << 8 * lane for lane, w in enumerate(row)))
        await ctx.tick().repeat(4)

    async def take(ctx) -> None:
        while len(observed) < len(groups):
            while not ctx.get(dut.full):
                await ctx.tick()
            await ctx.tick().repeat(5)
            assert ctx.get(dut.final) == (len(observed) == len(groups) - 1)
            copied = ctx.get(dut.copied)
            ctx.set(dut.taken, 1)
            await ctx.tick()
            ctx.set(dut.taken, 0)
            sums = [[ctx.get(dut.sums[lane][s]) for s in range(3)] for lane in range(2)]
            observed.append("copied" if copied else sums)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.add_testbench(take)
    sim.run()
    assert observed == expected
