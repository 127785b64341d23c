"""The sequencer starts units in program order, and counts their cycles."""

from amaranth.sim import Simulator

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.descriptor import DESCRIPTOR_WORDS, Op, encode
from sparta_rtl.sequencer import FETCH_CYCLES, HANDOVER_CYCLES, UNIT_OPS, Sequencer

CONFIG = NAMED_CONFIGS["tiny"]


def run_sequencer(program: list[int], unit_cycles: list[int], hold: int = 0) -> dict:
    """Started ops in order, counters and total cycles, with each unit answering after its cycles."""
    dut = Sequencer(CONFIG)
    words = [descriptor >> 32 * n & 0xFFFFFFFF for descriptor in program for n in range(DESCRIPTOR_WORDS)]
    seen: dict = {"starts": [], "counters": {}}

    async def memory(ctx):
        address = 0
        while True:
            ctx.set(dut.program.data, words[address] if address < len(words) else 0)
            *_, address = await ctx.tick().sample(dut.program.addr)

    async def units(ctx):
        for n, cycles in enumerate(unit_cycles):
            for _ in range(hold if n else 0):
                ctx.set(dut.hold, 1)
                await ctx.tick()
            ctx.set(dut.hold, 0)
            while not ctx.get(dut.starts):
                await ctx.tick()
            starts = ctx.get(dut.starts)
            seen["starts"].append(UNIT_OPS[starts.bit_length() - 1])
            for _ in range(cycles):
                await ctx.tick()
                assert ctx.get(dut.starts) == 0
            ctx.set(dut.dones, starts)
            await ctx.tick()
            ctx.set(dut.dones, 0)
            _, _, enable, row, value = await ctx.tick().sample(
                dut.counter.en, dut.counter.addr, dut.counter.data
            )
            assert enable
            seen["counters"][row] = value

    async def host(ctx):
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        while not ctx.get(dut.done):
            await ctx.tick()
        await ctx.tick()
        seen["cycles"], seen["busy"] = ctx.get(dut.cycles), ctx.get(dut.busy)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(memory, background=True)
    sim.add_testbench(units, background=True)
    sim.add_testbench(host)
    sim.run()
    return seen


def make_program() -> list[int]:
    return [encode(op, "test") for op in (*UNIT_OPS, Op.END)]


def test_units_run_in_program_order_and_are_counted() -> None:
    cycles = [5, 1, 30, 2, 7, 3, 4, 6]
    seen = run_sequencer(make_program(), cycles)
    assert seen["starts"] == list(UNIT_OPS)
    assert [seen["counters"][n] for n in range(len(cycles))] == cycles
    assert seen["cycles"] == sum(cycles) + len(cycles) * HANDOVER_CYCLES + (len(cycles) + 1) * FETCH_CYCLES
    assert not seen["busy"]


def test_a_background_unit_postpones_the_next_start() -> None:
    units, wait = len(UNIT_OPS), 2 * FETCH_CYCLES
    seen = run_sequencer(make_program(), [3] * units, hold=wait)
    waited = (units - 1) * (wait + 2 - FETCH_CYCLES)
    assert seen["cycles"] == units * (3 + HANDOVER_CYCLES) + (units + 1) * FETCH_CYCLES + waited
