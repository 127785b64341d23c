"""Bench of the host port: registers, loading and input lines as docs/host.md has them."""

from typing import Any

from sparta_hw.descriptor import DESCRIPTOR_WORDS, MlpSet
from sparta_hw.tensor_layout import words_per_line
from sparta_rtl.host import LoadTarget, Register
from sparta_rtl.rank import FACTOR_BITS, FACTOR_ROWS
from sparta_rtl.score import SCORE_ROW_BITS
from sparta_rtl.token_mlp import MLP_ROW_BITS
from sparta_sim.benches.streams import Bench, EventLog, WriteLog, unit_test

CORE_ID = int.from_bytes(b"SPRA", "little")


class _Axi:
    """AXI4-Lite master whose channels pause independently of each other."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def write(self, register: Register, value: int) -> int:
        """Write a register; the cycle in which address and data were accepted."""
        bench, dut = self._bench, self._bench.dut
        dut.axil__awaddr.value, dut.axil__wdata.value = register, value
        offered = {"aw": False, "w": False}
        accepted = False
        while not accepted:
            for channel, already in offered.items():
                offered[channel] = already or not bench.pauses()
                bench.port("axil", f"{channel}valid").value = offered[channel]
            await bench.tick()
            accepted = bool(int(dut.axil__awready.value))
            assert accepted == int(dut.axil__wready.value) == all(offered.values())
        cycle = bench.cycle
        dut.axil__awvalid.value = dut.axil__wvalid.value = 0
        assert await self._response("b") >= cycle + 1
        assert int(dut.axil__bresp.value) == 0
        return cycle

    async def read(self, register: Register) -> int:
        """Content of a register, two cycles after its address."""
        bench, dut = self._bench, self._bench.dut
        while bench.pauses():
            await bench.tick()
        dut.axil__araddr.value, dut.axil__arvalid.value = register, 1
        await bench.tick()
        assert int(dut.axil__arready.value)
        asked = bench.cycle
        dut.axil__arvalid.value = 0
        answered = await self._response("r")
        assert answered >= asked + 2 if bench.stall else answered == asked + 2
        assert int(dut.axil__rresp.value) == 0
        return int(dut.axil__rdata.value)

    async def _response(self, channel: str) -> int:
        bench, valid, ready = self._bench, f"{channel}valid", f"{channel}ready"
        taken = False
        while not taken:
            taking = not bench.pauses()
            bench.port("axil", ready).value = taking
            await bench.tick()
            assert channel != "r" or not int(bench.dut.axil__arready.value)
            taken = taking and bool(int(bench.port("axil", valid).value))
        bench.port("axil", ready).value = 0
        return bench.cycle


@unit_test
async def registers_answer(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    axi, layers = _Axi(bench), bench.config.layers
    pulses = {name: EventLog(bench, getattr(dut, name)) for name in ("start", "abort")}
    for _ in range(20):
        topk, cycles, layer = (
            bench.rng.getrandbits(16),
            bench.rng.getrandbits(32),
            bench.rng.randrange(layers),
        )
        counts = [bench.rng.getrandbits(32) for _ in range(2)]
        dut.cycles.value, dut.busy.value, dut.topk_clamped.value = cycles, layer & 1, layer >> 1 & 1
        dut.counter_cycles__data.value, dut.counter_entries__data.value = counts
        await axi.write(Register.K, topk)
        await axi.write(Register.COUNTER_LAYER, layer)
        expected = {
            Register.ID: CORE_ID,
            Register.CONFIG: bench.config.digest,
            Register.STATUS: layer & 3,
            Register.K: topk,
            Register.CYCLES: cycles,
            Register.COUNTER_CYCLES: counts[0],
            Register.COUNTER_ENTRIES: counts[1],
        }
        asked = bench.rng.sample(sorted(expected), len(expected))
        assert [await axi.read(register) for register in asked] == [expected[register] for register in asked]
        assert int(dut.topk.value) == topk
        assert int(dut.counter_cycles__addr.value) == int(dut.counter_entries__addr.value) == layer
    assert not any(log.events for log in pulses.values())


@unit_test
async def commands_are_pulses(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    axi = _Axi(bench)
    for _ in range(20):
        command, busy = bench.rng.randrange(8), bench.rng.randrange(2)
        dut.busy.value = busy
        logs = [EventLog(bench, pulse) for pulse in (dut.start, dut.abort, dut.reset_state)]
        accepted = await axi.write(Register.CONTROL, command)
        await bench.tick(3)
        for log in logs:
            log.stop()
        wanted = (command & 1 and not busy, command & 2, command & 4)
        assert [log.cycles for log in logs] == [[accepted + 2] if pulse else [] for pulse in wanted]


@unit_test
async def rows_are_loaded(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    axi, config = _Axi(bench), bench.config
    ports = {
        LoadTarget.PROGRAM: ("program", config.layers, DESCRIPTOR_WORDS),
        LoadTarget.WEIGHTS: ("weights", config.weight_rows, -(-config.lanes * config.weight_bits // 32)),
        LoadTarget.SCORES: ("scores", config.scales * (config.silent_cue + 1), SCORE_ROW_BITS // 32),
        LoadTarget.FACTORS: ("factors", FACTOR_ROWS, FACTOR_BITS // 32),
        LoadTarget.MLP: ("mlp", len(MlpSet) * config.hidden_units, MLP_ROW_BITS // 32),
    }
    logs = {target: WriteLog(bench, name) for target, (name, _, _) in ports.items()}
    for target in (*LoadTarget, *LoadTarget):
        _, depth, words = ports[target]
        count = bench.rng.randint(1, 4)
        first = bench.rng.randrange(depth - count)
        rows = [[bench.rng.getrandbits(32) for _ in range(words)] for _ in range(count)]
        await axi.write(Register.LOAD_TARGET, target)
        await axi.write(Register.LOAD_ROW, first)
        for word in (word for row in rows for word in row):
            await axi.write(Register.LOAD_DATA, word)
        await bench.tick(2)
        if target is LoadTarget.PROGRAM:
            flat = [word for row in rows for word in row]
            expected = [(first * words + n, word, 1) for n, word in enumerate(flat)]
        else:
            joined = [sum(word << 32 * n for n, word in enumerate(row)) for row in rows]
            expected = [(first + n, row, 1) for n, row in enumerate(joined)]
        assert {target: log.events for target, log in logs.items() if log.events} == {target: expected}
        logs[target].events.clear()


@unit_test
async def input_lines_wait_and_rewind(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    axi, config, log = _Axi(bench), bench.config, WriteLog(bench, "line")
    words, every_segment = words_per_line(config), (1 << config.segments) - 1
    for turn in range(6):
        lines = [[bench.rng.getrandbits(32) for _ in range(words)] for _ in range(bench.rng.randint(1, 9))]
        await bench.send("spikes", [word for line in lines for word in line])
        await bench.tick(2)
        joined = [sum(word << 32 * n for n, word in enumerate(line)) for line in lines]
        mask = (1 << config.line * config.steps) - 1
        assert log.events == [(row, line & mask, every_segment) for row, line in enumerate(joined)]
        log.events.clear()

        dut.busy.value, dut.spikes__valid.value = 1, 1
        for _ in range(10):
            await bench.tick()
            assert not int(dut.spikes__ready.value)
        dut.spikes__valid.value = 0
        if turn % 2:
            await axi.write(Register.CONTROL, 2)
        else:
            dut.finished.value = 1
            await bench.tick()
            dut.finished.value = 0
        dut.busy.value = 0
        await bench.tick()
    assert not log.events
