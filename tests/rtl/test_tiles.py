"""When tiles open and fire: the sequence alone, around it units that take their time."""

from dataclasses import dataclass, field

import pytest
from amaranth.sim import Simulator

from sparta_hw.config import CoreConfig
from sparta_rtl.tiles import TileSequence

OWN = CoreConfig(name="own", lanes=4, steps=4, line=4)
SHARED = CoreConfig(
    name="shared", lanes=16, fire_share=4, steps=1, line=4, weight_bits=6, attention=False, counts=True
)
BASE, PITCH = 5, 40


@dataclass
class Seen:
    """Cycles of one layer's events, each in the order of tiles."""

    opens: list[int] = field(default_factory=list)
    issued: list[int] = field(default_factory=list)
    fires: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    tiles: list[int] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)
    done: int = 0


def run(config: CoreConfig, tiles: int, issuing: int, firing: int, held: int, layers: int = 1) -> list[Seen]:
    """A tile takes ``issuing`` cycles from opening to its last weights, ``firing`` to its end, and then it is held."""
    dut, found = TileSequence(config), []

    async def layer(ctx) -> Seen:
        seen = Seen()
        ctx.set(dut.start, 1)
        for cycle in range(5000):
            issued = cycle - issuing in seen.opens
            if issued:
                seen.issued.append(cycle)
            busy = len(seen.ends) < len(seen.fires)
            if busy and len(seen.issued) > len(seen.ends):
                busy = cycle < max(seen.fires[-1], seen.issued[len(seen.ends)]) + firing
            idle = not busy
            if idle and len(seen.ends) < len(seen.fires):
                seen.ends.append(cycle)
                seen.tiles.append(ctx.get(dut.tile))
            ctx.set(dut.issued, issued)
            ctx.set(dut.idle, idle)
            ctx.set(dut.hold, bool(seen.ends) and idle and cycle < seen.ends[-1] + held)
            if ctx.get(dut.opens):
                seen.opens.append(cycle)
            if ctx.get(dut.read):
                seen.reads.append((cycle, ctx.get(dut.row)))
            if ctx.get(dut.fires):
                seen.fires.append(cycle)
            if ctx.get(dut.done):
                seen.done = cycle
                return seen
            await ctx.tick()
            ctx.set(dut.start, 0)
        raise TimeoutError

    async def process(ctx) -> None:
        ctx.set(dut.layer, {"tiles": tiles, "weight_base": BASE, "weight_pitch": PITCH})
        for _ in range(layers):
            found.append(await layer(ctx))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(process)
    sim.run()
    return found


TIMES = [(20, 200, 0), (200, 20, 0), (3, 30, 50), (100, 100, 7), (15, 1, 0)]


@pytest.mark.parametrize(("issuing", "firing", "held"), TIMES)
@pytest.mark.parametrize("config", [OWN, SHARED], ids=lambda config: config.name)
def test_tiles_follow_one_another(config: CoreConfig, issuing: int, firing: int, held: int) -> None:
    rows = config.header_rows
    for seen in run(config, 4, issuing, firing, held, layers=2):
        assert seen.tiles == [0, 1, 2, 3]
        assert seen.done == seen.ends[-1]
        assert [row for _, row in seen.reads] == [BASE + t * PITCH + n for t in range(4) for n in range(rows)]
        read = [cycle for cycle, _ in seen.reads]
        begins = [cycle - 2 for cycle in read[::rows]]
        assert [cycle - begin for cycle, begin in zip(seen.opens, begins, strict=True)] == [rows - 2] * 4
        assert begins[0] == 0
        for t in range(1, 4):
            if config is SHARED:
                assert begins[t] == seen.fires[t] == seen.ends[t - 1] + held
            else:
                assert begins[t] == max(seen.issued[t - 1], seen.fires[t - 1] + 1)
                assert seen.fires[t] == max(seen.ends[t - 1] + held, begins[t] + rows + 3)


def test_a_tile_is_issued_while_the_one_before_fires() -> None:
    (seen,) = run(OWN, 4, issuing=20, firing=200, held=0)
    assert all(issued < end for issued, end in zip(seen.issued[1:], seen.ends, strict=False))
