"""Two groups of steps in alternate cycles: every step once, in order, and what a lane relies on."""

import random

import pytest
from amaranth.sim import Simulator

from sparta_hw.config import CoreConfig
from sparta_rtl.steps import BUFFERS, LANE_CYCLES, POSITIONS_APART, StepSchedule
from tests.altered import altered_unit

CONFIGS = [CoreConfig(name="steps", lanes=2, line=2, steps=steps, max_steps=32) for steps in (1, 4, 8, 16)]

CLAIM = 6
"""Cycles from ``released`` until what claims the buffer arrives, at least (``fire.py``)."""


def taken(
    config: CoreConfig,
    steps: int,
    direct: bool,
    positions: int,
    pace: float,
    unit: type = StepSchedule,
    copied: frozenset[int] = frozenset(),
) -> tuple[list[dict[str, int]], list[int]]:
    """Steps of one tile whose groups arrive, and whose results have room, with probability ``pace``; and arrivals."""
    dut, rng, found = unit(config), random.Random(f"{config.steps} {steps} {direct} {pace}"), []
    arrived: list[int] = []
    arrivals = positions * (1 if direct else config.groups(steps))

    async def bench(ctx) -> None:
        free, row_of = [0] * BUFFERS, None
        ctx.set(dut.layer.out_steps, steps)
        ctx.set(dut.layer.direct, direct)
        ctx.set(dut.begin, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        await ctx.tick().repeat(3)
        for cycle in range(200 + 400 * positions * config.groups(steps)):
            arrives = (
                len(arrived) < arrivals and min(free, default=cycle + 1) <= cycle and rng.random() < pace
            )
            if arrives:
                ctx.set(dut.copied, len(arrived) in copied)
                ctx.set(dut.kept, len(arrived) % 3 == 0)
                free.remove(min(free))
                arrived.append(cycle)
            ctx.set(dut.arrived, arrives)
            ctx.set(dut.final, len(arrived) == arrivals)
            ctx.set(dut.has_room, rng.random() < pace)
            if row_of:
                row_of["row"] = ctx.get(dut.row)
            if ctx.get(dut.released):
                free.append(cycle + CLAIM)
            row_of = None
            if ctx.get(dut.step.valid):
                names = ("step", "fresh", "group_end", "position_end", "final", "kept", "copied")
                row_of = {name: ctx.get(dut.step[name]) for name in names}
                found.append(row_of | {"cycle": cycle, "begins": ctx.get(dut.begins)})
                row_of = found[-1]
            await ctx.tick()
            if found and found[-1]["final"] and found[-1].get("row") is not None:
                return

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return found, arrived


def check(
    config: CoreConfig,
    steps: int,
    direct: bool,
    positions: int,
    result: tuple[list[dict[str, int]], list[int]],
    copied: frozenset[int] = frozenset(),
) -> None:
    """Every step of every position, as a lane needs them; none before its current is there, or after the next is."""
    (found, arrived), size, groups = result, config.steps, config.groups(steps)
    running: list[int | None] = [None] * LANE_CYCLES
    ended = 0
    begun, owner, last_began, last_end = 0, {}, -POSITIONS_APART, -POSITIONS_APART
    for one in found:
        at, cycle = one["cycle"] % LANE_CYCLES, one["cycle"]
        if one["begins"]:
            assert running[at] is None
            running[at], begun = begun, begun + 1
        number = running[at]
        assert number is not None
        position, group = divmod(number, groups)
        step = group * size + one["step"]
        count = 1 if number in copied else min(size, steps - group * size)
        owner[cycle] = position
        assert one["begins"] == (one["step"] == 0)
        assert one["fresh"] == (step == 0)
        assert one["group_end"] == (one["step"] == count - 1)
        ends = one["step"] == count - 1 and group == groups - 1
        assert one["position_end"] == ends
        assert one["final"] == (ends and position == positions - 1)
        assert one["copied"] == (number in copied)
        assert one["kept"] == ((position if direct else number) % 3 == 0)
        buffer = position if direct else number
        row = buffer % BUFFERS << (size - 1).bit_length() | (0 if direct else one["step"])
        assert one["row"] == row
        writes = [c + 1 + (0 if direct else one["step"]) for c in arrived[buffer::BUFFERS]]
        assert writes[0] < cycle + 1
        assert len(writes) == 1 or cycle + 1 <= writes[1]
        if one["fresh"]:
            assert cycle - last_began >= POSITIONS_APART
        else:
            before = max(c for c in owner if c < cycle)
            assert owner.get(cycle - 2) == position or (before < cycle - 2 and owner[before] == position)
        if one["begins"] and group == groups - 1:
            last_began = cycle
        if one["group_end"]:
            running[at] = None
        if ends:
            assert cycle - last_end >= POSITIONS_APART
            assert position == ended
            last_end, ended = cycle, ended + 1
    assert begun == positions * groups
    assert len(found) == positions * steps - len(copied) * (steps - 1)


@pytest.mark.parametrize("pace", [1.0, 0.3, 0.05])
@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"S{config.steps}")
def test_every_step_once_and_as_lanes_need_them(config: CoreConfig, direct: bool, pace: float) -> None:
    for steps in (1, 2, 3, 4, 5, 8, 11, 16):
        check(config, steps, direct, 9, taken(config, steps, direct, 9, pace))


@pytest.mark.parametrize("pace", [1.0, 0.3, 0.05])
@pytest.mark.parametrize("config", CONFIGS[1:], ids=lambda config: f"S{config.steps}")
def test_copied_positions_take_one_step_in_their_turn(config: CoreConfig, pace: float) -> None:
    for steps in (1, 2, 3, 4, 5, 8, 11, 16):
        if steps <= config.steps:
            for copied in (frozenset({1, 2, 3, 7}), frozenset(range(1, 9)), frozenset({8})):
                result = taken(config, steps, False, 9, pace, copied=copied)
                check(config, steps, False, 9, result, copied)


def test_two_positions_take_a_step_every_cycle() -> None:
    found, _ = taken(CONFIGS[2], 8, False, 20, 1.0)
    assert found[-1]["cycle"] - found[0]["cycle"] < 8 * 20 + 8 + POSITIONS_APART


ALTERED = {
    "a position's next group overtakes": ("~taking[0])", "1)"),
    "positions too close": ("~settles.any() & ~(", "~("),
    "a copied position overtakes": ("ahead.copied & taking.any()", "0"),
    "a copied position too close to the one before": ("taking.any()", "taking[0]"),
    "the buffer is released too early": ("max(0, (steps - 7) // 2)", "max(0, (steps - 9) // 2)"),
    "the buffer of a position is released too early": ("Mux(layer.direct, step.position_end, ", "Mux(0, 0, "),
    "final too early": ("final & (waiting == 1) & position_end", "final"),
    "the same buffer again": ("buffer.eq(~buffer)", "buffer.eq(buffer)"),
}


@pytest.mark.parametrize("name", ALTERED)
def test_another_schedule_is_noticed(name: str) -> None:
    other = altered_unit(StepSchedule, *ALTERED[name])

    def check_all() -> None:
        for config, steps in (
            (CONFIGS[1], 1),
            (CONFIGS[1], 3),
            (CONFIGS[1], 8),
            (CONFIGS[1], 11),
            (CONFIGS[3], 16),
        ):
            for direct in (False, True):
                check(config, steps, direct, 9, taken(config, steps, direct, 9, 0.9, other))
        copied = frozenset({1, 2, 5, 8})
        check(CONFIGS[3], 16, False, 9, taken(CONFIGS[3], 16, False, 9, 0.9, other, copied), copied)

    with pytest.raises(AssertionError):
        check_all()
