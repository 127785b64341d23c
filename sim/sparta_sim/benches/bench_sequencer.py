"""Bench of the sequencer: units start in program order, their cycles are counted."""

from collections.abc import Sequence
from typing import Any

import cocotb

from sparta_hw.descriptor import DESCRIPTOR_WORDS, Op, encode
from sparta_rtl.sequencer import FETCH_CYCLES, HANDOVER_CYCLES, UNIT_OPS
from sparta_sim.benches.streams import Bench, ReadMemory, WriteLog, unit_test


class _Units:
    """Answers each start with a done after a random number of cycles, then may work on in the background."""

    def __init__(self, bench: Bench) -> None:
        self.started: list[tuple[Op, int]] = []
        self.cycles: list[int] = []
        self.waits = 0
        self.task = cocotb.start_soon(self._run(bench))

    async def _run(self, bench: Bench) -> None:
        dut = bench.dut
        while True:
            await bench.tick()
            starts = int(dut.starts.value)
            if not starts:
                continue
            assert starts.bit_count() == 1
            self.started.append((UNIT_OPS[starts.bit_length() - 1], int(dut.descriptor.value)))
            cycles = bench.rng.randint(1, 30)
            self.cycles.append(cycles)
            others = ~starts & (1 << len(UNIT_OPS)) - 1
            for n in range(cycles):
                dut.dones.value = starts if n == cycles - 1 else others & bench.rng.getrandbits(len(UNIT_OPS))
                await bench.tick()
                assert not int(dut.starts.value)
            dut.dones.value = 0
            if bench.pauses():
                busy = bench.rng.randint(1, 3 * FETCH_CYCLES)
                self.waits += max(busy - FETCH_CYCLES + 1, 0)
                dut.hold.value = 1
                await bench.tick(busy)
                assert not int(dut.starts.value)
                dut.hold.value = 0


async def _inference(bench: Bench, rows: ReadMemory, ops: Sequence[Op]) -> None:
    dut = bench.dut
    program = [encode(op, "bench", id=n) for n, op in enumerate(ops)]
    words = [*program, encode(Op.END, "bench")]
    rows.rows = [word >> 32 * n & 0xFFFFFFFF for word in words for n in range(DESCRIPTOR_WORDS)]
    units, counters = _Units(bench), WriteLog(bench, "counter")
    elapsed = await bench.execute()
    assert int(dut.busy.value)
    await bench.tick()
    units.task.cancel()
    counters.stop()
    assert not int(dut.busy.value)
    assert units.started == list(zip(ops, program, strict=True))
    assert [(row, value) for row, value, _ in counters.events] == list(enumerate(units.cycles))
    total = sum(units.cycles) + len(ops) * HANDOVER_CYCLES + (len(ops) + 1) * FETCH_CYCLES + units.waits
    assert elapsed == int(dut.cycles.value) == total


@unit_test
async def programs_run_in_order(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    rows = ReadMemory(bench, "program")
    await _inference(bench, rows, [])
    await _inference(bench, rows, UNIT_OPS)
    for _ in range(5):
        ops = [bench.rng.choice(UNIT_OPS) for _ in range(bench.rng.randint(1, bench.config.layers - 1))]
        await _inference(bench, rows, ops)
