"""What benches connect to a unit: clock, sources and sinks of streams, and memories on its ports.

Everything acts right after a rising edge: it sees the values of before the edge and drives those of the cycle
that begins. A transfer has taken place when ``valid`` and ``ready`` are both seen.
"""

import json
import os
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

import cocotb
from amaranth.lib import data
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time

from sparta_hw.config import CoreConfig

__all__ = ["Bench", "EventLog", "ReadMemory", "Sink", "WriteLog", "bits_of", "unit_test"]

PERIOD_NS = 10
TIMEOUT_MS = 3
STALLS = tuple(json.loads(os.environ["SPARTA_BENCH_STALLS"]))


def unit_test(function: Callable[[Any, float], Coroutine[Any, Any, None]]) -> Any:
    """A cocotb test ``function(dut, stall)``, run with each probability of a stall that was asked for."""
    limited = cocotb.test(timeout_time=TIMEOUT_MS, timeout_unit="ms")
    return limited(cocotb.parametrize(stall=STALLS)(function))


def bits_of(layout: data.Layout, values: Any) -> int:
    """The bits of a payload or descriptor as one integer."""
    return layout.const(values).as_bits()


class Bench:
    """A clocked unit, the core it belongs to, and the randomness of one test.

    Parameters
    ----------
    dut : handle
        The unit's simulated module.
    stall : float
        Probability that a stream pauses in a cycle.
    """

    def __init__(self, dut: Any, stall: float) -> None:
        self.dut, self.stall = dut, stall
        self.config = CoreConfig(**json.loads(os.environ["SPARTA_BENCH_CORE"]))
        self.rng = random.Random(f"{cocotb.RANDOM_SEED} {stall}")

    @classmethod
    async def begin(cls, dut: Any, stall: float) -> "Bench":
        """Start the clock and reset the unit."""
        Clock(dut.clk, PERIOD_NS, "ns", impl="gpi").start(start_high=False)
        bench = cls(dut, stall)
        dut.rst.value = 1
        await bench.tick(2)
        dut.rst.value = 0
        await bench.tick()
        return bench

    def port(self, name: str, member: str) -> Any:
        """The signal ``name__member``."""
        return getattr(self.dut, f"{name}__{member}")

    async def tick(self, cycles: int = 1) -> None:
        """Wait for rising edges."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)

    @property
    def cycle(self) -> int:
        """Number of the cycle that the last edge ended."""
        return round(get_sim_time("ns")) // PERIOD_NS

    def pauses(self) -> bool:
        """Whether a stream stalls in this cycle."""
        return self.rng.random() < self.stall

    async def execute(self) -> int:
        """Start the unit and wait until it is done; ``cycles(unit)`` of ARCHITECTURE.md."""
        self.dut.start.value = 1
        await self.tick()
        begin = self.cycle
        self.dut.start.value = 0
        while not int(self.dut.done.value):
            await self.tick()
        return self.cycle - begin

    async def send(self, name: str, items: Iterable[int]) -> list[int]:
        """Offer payloads to an input stream, with pauses; the cycles in which they were accepted."""
        valid, payload = self.port(name, "valid"), self.port(name, "payload")
        ready = getattr(self.dut, f"{name}__ready", None)
        accepted = []
        for item in items:
            while self.pauses():
                await self.tick()
            payload.value, valid.value = item, 1
            await self.tick()
            while ready is not None and not int(ready.value):
                await self.tick()
            valid.value = 0
            accepted.append(self.cycle)
        return accepted

    async def write(self, name: str, rows: Iterable[int]) -> None:
        """Fill a memory of the unit from row 0 on."""
        self.port(name, "en").value = 1
        for address, row in enumerate(rows):
            self.port(name, "addr").value = address
            self.port(name, "data").value = row
            await self.tick()
        self.port(name, "en").value = 0

    async def read(self, name: str, count: int) -> list[int]:
        """The first rows of a memory of the unit."""
        rows = []
        self.port(name, "en").value = 1
        for address in range(count):
            self.port(name, "addr").value = address
            await self.tick(2)
            rows.append(int(self.port(name, "data").value))
        self.port(name, "en").value = 0
        return rows


class Sink:
    """Takes the payloads of an output stream, with pauses.

    Attributes
    ----------
    items, cycles : list of int
        Payloads, and the cycles in which they were taken.
    """

    def __init__(self, bench: Bench, name: str) -> None:
        self.items: list[int] = []
        self.cycles: list[int] = []
        cocotb.start_soon(self._take(bench, name))

    async def _take(self, bench: Bench, name: str) -> None:
        valid, payload = bench.port(name, "valid"), bench.port(name, "payload")
        ready = getattr(bench.dut, f"{name}__ready", None)
        while True:
            taking = ready is None or not bench.pauses()
            if ready is not None:
                ready.value = taking
            await bench.tick()
            if taking and int(valid.value):
                self.items.append(int(payload.value))
                self.cycles.append(bench.cycle)


class ReadMemory:
    """A memory behind a read port of the unit, with one cycle of latency.

    Attributes
    ----------
    rows : sequence of int
        Its content from row 0 on; may be exchanged while nothing is read. All other rows are all ones.
    """

    def __init__(self, bench: Bench, name: str, rows: Sequence[int] = ()) -> None:
        self.rows = rows
        self._task = cocotb.start_soon(self._answer(bench, name))

    def stop(self) -> None:
        """Disconnect it."""
        self._task.cancel()

    async def _answer(self, bench: Bench, name: str) -> None:
        enable, address, output = (bench.port(name, member) for member in ("en", "addr", "data"))
        ones = (1 << len(output)) - 1
        while True:
            await bench.tick()
            if int(enable.value):
                row = int(address.value)
                output.value = self.rows[row] if row < len(self.rows) else ones


class EventLog:
    """Values of some signals in every cycle in which another one is not zero.

    Attributes
    ----------
    events : list of tuple of int
    cycles : list of int
        The cycle of each.
    """

    def __init__(self, bench: Bench, valid: Any, *signals: Any) -> None:
        self.events: list[tuple[int, ...]] = []
        self.cycles: list[int] = []
        self._task = cocotb.start_soon(self._listen(bench, valid, signals))

    def stop(self) -> None:
        """Listen no longer."""
        self._task.cancel()

    async def _listen(self, bench: Bench, valid: Any, signals: tuple[Any, ...]) -> None:
        while True:
            await bench.tick()
            if int(valid.value):
                self.events.append(tuple(int(signal.value) for signal in signals))
                self.cycles.append(bench.cycle)


class WriteLog(EventLog):
    """Everything that a write port of the unit writes: (row, data, enable) in ``events``."""

    def __init__(self, bench: Bench, name: str) -> None:
        enable = bench.port(name, "en")
        super().__init__(bench, enable, bench.port(name, "addr"), bench.port(name, "data"), enable)
