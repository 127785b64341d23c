"""The host port: registers over AXI4-Lite, memory loading, input lines."""

from amaranth.sim import Simulator

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_rtl.host import HostPort, LoadTarget, Register

CONFIG = NAMED_CONFIGS["tiny"]


async def axi_write(ctx, dut: HostPort, address: int, value: int) -> None:
    ctx.set(dut.axil.awaddr, address)
    ctx.set(dut.axil.wdata, value)
    ctx.set(dut.axil.awvalid, 1)
    ctx.set(dut.axil.wvalid, 1)
    await ctx.tick().until(dut.axil.awready)
    ctx.set(dut.axil.awvalid, 0)
    ctx.set(dut.axil.wvalid, 0)
    ctx.set(dut.axil.bready, 1)
    await ctx.tick().until(dut.axil.bvalid)
    ctx.set(dut.axil.bready, 0)


async def axi_read(ctx, dut: HostPort, address: int) -> int:
    ctx.set(dut.axil.araddr, address)
    ctx.set(dut.axil.arvalid, 1)
    await ctx.tick().until(dut.axil.arready)
    ctx.set(dut.axil.arvalid, 0)
    ctx.set(dut.axil.rready, 1)
    (value,) = await ctx.tick().sample(dut.axil.rdata).until(dut.axil.rvalid)
    ctx.set(dut.axil.rready, 0)
    return value


def simulate(dut: HostPort, bench, port=None) -> list[tuple[int, int]]:
    """Run ``bench``; the writes that ``port`` made, as (row, data)."""
    writes: list[tuple[int, int]] = []

    async def watch(ctx):
        while True:
            *_, enable, row, data = await ctx.tick().sample(port.en, port.addr, port.data)
            if enable:
                writes.append((row, data))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    if port is not None:
        sim.add_testbench(watch, background=True)
    sim.run()
    return writes


def test_registers_answer() -> None:
    dut = HostPort(CONFIG)
    values: dict[Register, int] = {}

    async def bench(ctx):
        ctx.set(dut.cycles, 1234)
        await axi_write(ctx, dut, Register.K, 7)
        for register in (Register.ID, Register.CONFIG, Register.K, Register.CYCLES, Register.STATUS):
            values[register] = await axi_read(ctx, dut, register)
        assert ctx.get(dut.topk) == 7

    simulate(dut, bench)
    assert values == {
        Register.ID: int.from_bytes(b"SPRA", "little"),
        Register.CONFIG: CONFIG.digest,
        Register.K: 7,
        Register.CYCLES: 1234,
        Register.STATUS: 0,
    }


def load(config: CoreConfig, target: LoadTarget, row: int, words: list[int]) -> list[tuple[int, int]]:
    dut = HostPort(config)

    async def bench(ctx):
        await axi_write(ctx, dut, Register.LOAD_TARGET, target)
        await axi_write(ctx, dut, Register.LOAD_ROW, row)
        for word in words:
            await axi_write(ctx, dut, Register.LOAD_DATA, word)
        await ctx.tick().repeat(3)

    return simulate(dut, bench, getattr(dut, target.name.lower()))


def test_program_words_go_where_they_belong() -> None:
    words = list(range(100, 118))
    assert load(CONFIG, LoadTarget.PROGRAM, 2, words) == [(32 + n, word) for n, word in enumerate(words)]


def test_weight_rows_are_assembled_from_words() -> None:
    wide = NAMED_CONFIGS["digits"]
    rows = load(wide, LoadTarget.WEIGHTS, 5, [1, 2, 3, 4, 5, 6, 7, 8])
    assert rows == [(5, 1 | 2 << 32 | 3 << 64 | 4 << 96), (6, 5 | 6 << 32 | 7 << 64 | 8 << 96)]
    assert load(CONFIG, LoadTarget.WEIGHTS, 0, [0xDEADBEEF]) == [(0, 0xDEADBEEF)]


def test_table_rows_are_assembled_from_words() -> None:
    assert load(CONFIG, LoadTarget.SCORES, 1, [1, 2, 3, 4]) == [(1, 1 | 2 << 32 | 3 << 64 | 4 << 96)]
    assert load(CONFIG, LoadTarget.FACTORS, 200, [0xDEADBEEF, 7]) == [(200, 0xDEADBEEF), (201, 7)]
    assert load(CONFIG, LoadTarget.MLP, 22, [1, 2, 3, 4]) == [(22, 1 | 2 << 32), (23, 3 | 4 << 32)]


def test_the_feedback_state_can_be_read_written_and_reset() -> None:
    dut = HostPort(CONFIG)
    events: list[tuple[str, int]] = []

    async def watch(ctx):
        while True:
            *_, load_state, value, reset = await ctx.tick().sample(
                dut.load_state, dut.state_value, dut.reset_state
            )
            if load_state:
                events.append(("load", value))
            if reset:
                events.append(("reset", 0))

    async def bench(ctx):
        ctx.set(dut.state, -300)
        assert await axi_read(ctx, dut, Register.STATE) == (1 << 32) - 300
        await axi_write(ctx, dut, Register.STATE, (1 << 32) - 77)
        await axi_write(ctx, dut, Register.CONTROL, 4)
        await ctx.tick().repeat(3)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.add_testbench(watch, background=True)
    sim.run()
    assert events == [("load", -77), ("reset", 0)]


def test_input_lines_are_refused_while_busy_and_rewind_after() -> None:
    dut = HostPort(NAMED_CONFIGS["digits"])

    async def bench(ctx):
        ctx.set(dut.spikes.valid, 1)
        for word in range(8):
            ctx.set(dut.spikes.payload, word)
            await ctx.tick().until(dut.spikes.ready)
        ctx.set(dut.busy, 1)
        await ctx.tick().repeat(5)
        ctx.set(dut.finished, 1)
        await ctx.tick()
        ctx.set(dut.finished, 0)
        ctx.set(dut.busy, 0)
        for word in range(4):
            ctx.set(dut.spikes.payload, 10 + word)
            await ctx.tick().until(dut.spikes.ready)
        ctx.set(dut.spikes.valid, 0)
        await ctx.tick()

    lines = simulate(dut, bench, dut.line)

    def line(*words: int) -> int:
        return sum(word << 32 * n for n, word in enumerate(words))

    assert lines == [(0, line(0, 1, 2, 3)), (1, line(4, 5, 6, 7)), (0, line(10, 11, 12, 13))]


def test_start_and_abort_are_one_cycle_commands() -> None:
    dut = HostPort(CONFIG)
    pulses = {"start": 0, "abort": 0}

    async def count(ctx):
        while True:
            *_, start, abort = await ctx.tick().sample(dut.start, dut.abort)
            pulses["start"] += start
            pulses["abort"] += abort

    async def bench(ctx):
        await axi_write(ctx, dut, Register.CONTROL, 1)
        await axi_write(ctx, dut, Register.CONTROL, 2)
        ctx.set(dut.busy, 1)
        await axi_write(ctx, dut, Register.CONTROL, 1)
        await ctx.tick().repeat(3)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.add_testbench(count, background=True)
    sim.run()
    assert pulses == {"start": 1, "abort": 1}
