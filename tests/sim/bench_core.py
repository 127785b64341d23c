"""cocotb benches of the whole core: a host on its AXI4-Lite port and streams. Run by test_cocotb.py."""

import os
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, with_timeout

from sparta_hw.program import Program
from sparta_rtl.host import CORE_ID, LoadTarget, Register


class Host:
    """Drives the ports between clock edges, with random pauses on every channel.

    Signals change at the falling edge, so that each rising edge sees settled values.
    """

    def __init__(self, dut, seed: int, stall: float) -> None:
        self.dut, self.rng, self.stall = dut, random.Random(seed), stall

    async def reset(self) -> None:
        for name in ("axil__awvalid", "axil__wvalid", "axil__bready", "axil__arvalid", "axil__rready"):
            getattr(self.dut, name).value = 0
        self.dut.spikes__valid.value = self.dut.results__ready.value = 0
        self.dut.rst.value = 1
        cocotb.start_soon(Clock(self.dut.clk, 10, unit="ns").start())
        for _ in range(3):
            await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0

    async def pause(self) -> None:
        while self.rng.random() < self.stall:
            await FallingEdge(self.dut.clk)

    async def send(self, channel: str, **payload: int) -> None:
        """One transfer on a channel that we drive."""
        await self.pause()
        for name, value in payload.items():
            getattr(self.dut, name).value = value
        valid, ready = getattr(self.dut, f"{channel}valid"), getattr(self.dut, f"{channel}ready")
        valid.value = 1
        while True:
            await RisingEdge(self.dut.clk)
            taken = int(ready.value)
            await FallingEdge(self.dut.clk)
            if taken:
                break
        valid.value = 0

    async def receive(self, channel: str, *payload: str) -> list[int]:
        """One transfer on a channel that the core drives; a waiting payload must not change."""
        valid, ready = getattr(self.dut, f"{channel}valid"), getattr(self.dut, f"{channel}ready")
        waiting = None
        while True:
            accept = self.rng.random() >= self.stall
            ready.value = accept
            await RisingEdge(self.dut.clk)
            offered = [int(getattr(self.dut, name).value) for name in payload] if int(valid.value) else None
            await FallingEdge(self.dut.clk)
            assert waiting is None or offered == waiting, f"{channel} changed while it waited"
            if offered is not None and accept:
                ready.value = 0
                return offered
            waiting = offered

    async def write(self, register: int, value: int) -> None:
        address = cocotb.start_soon(self.send("axil__aw", axil__awaddr=int(register)))
        await self.send("axil__w", axil__wdata=value, axil__wstrb=0xF)
        await address
        assert await self.receive("axil__b", "axil__bresp") == [0]

    async def read(self, register: int) -> int:
        await self.send("axil__ar", axil__araddr=int(register))
        value, response = await self.receive("axil__r", "axil__rdata", "axil__rresp")
        assert response == 0
        return value

    async def load(self, program: Program) -> None:
        for name, (rows, bits) in program.images().items():
            await self.write(Register.LOAD_TARGET, LoadTarget[name.upper()])
            await self.write(Register.LOAD_ROW, 0)
            for row in rows:
                for word in range(-(-bits // 32)):
                    await self.write(Register.LOAD_DATA, row >> 32 * word & 0xFFFFFFFF)

    async def stream(self, words: np.ndarray) -> None:
        for word in words:
            await self.send("spikes__", spikes__payload=int(word))

    async def results(self) -> list[int]:
        found: list[int] = []
        while True:
            (payload,) = await self.receive("results__", "results__payload")
            value = payload & 0xFFFFFFFF
            found.append(value - (value >> 31 << 32))
            if payload >> 32:
                return found

    async def infer(self, words: np.ndarray, k: int) -> list[int]:
        await self.stream(words)
        await self.write(Register.K, k)
        await self.write(Register.CONTROL, 1)
        logits = await with_timeout(self.results(), 1, "ms")
        while await self.read(Register.STATUS) & 1:
            pass
        return logits


async def start(dut) -> tuple[Host, Program, np.ndarray, dict[int, list[int]]]:
    """The core out of reset with its program loaded; words of one sample; logits by K."""
    program = Program.load(os.environ["BENCH_PROGRAM"])
    with np.load(os.environ["BENCH_VECTORS"]) as vectors:
        words = vectors["words"]
        logits = {int(name[1:]): vectors[name].tolist() for name in vectors.files if name != "words"}
    host = Host(dut, seed=11, stall=float(os.environ["BENCH_STALL"]))
    await host.reset()
    await host.load(program)
    return host, program, words, logits


@cocotb.test()
async def an_inference_through_the_host_port(dut) -> None:
    host, program, words, logits = await start(dut)
    assert await host.read(Register.ID) == CORE_ID
    assert await host.read(Register.CONFIG) == program.config.digest
    assert await host.read(Register.STATUS) == 0
    for k, expected in logits.items():
        assert await host.infer(words, k) == expected, f"K = {k}"
        assert await host.read(Register.K) == k
        counted = 0
        for layer in range(len(program.descriptors) - 1):
            await host.write(Register.COUNTER_LAYER, layer)
            counted += await host.read(Register.COUNTER_CYCLES)
        assert counted < await host.read(Register.CYCLES) < counted + 18 * (len(program.descriptors) + 1)


@cocotb.test()
async def abort_rewinds_and_the_next_inference_is_right(dut) -> None:
    host, _, words, logits = await start(dut)
    k, expected = next(iter(logits.items()))
    await host.stream(words[: len(words) // 2])
    await host.write(Register.CONTROL, 2)  # in the middle of the input
    await host.stream(words)
    await host.write(Register.K, k)
    await host.write(Register.CONTROL, 1)
    for _ in range(500):
        await RisingEdge(dut.clk)
    assert await host.read(Register.STATUS) & 1
    await host.write(Register.CONTROL, 2)  # in the middle of a layer
    assert not await host.read(Register.STATUS) & 1
    assert await host.infer(words, k) == expected


@cocotb.test()
async def k_out_of_range_is_clamped_and_reported(dut) -> None:
    host, program, words, logits = await start(dut)
    assert await host.infer(words, 0) == logits[1]
    assert await host.read(Register.STATUS) == 2
    assert await host.infer(words, program.tokens + 5) == logits[program.tokens]
    assert await host.read(Register.STATUS) == 2
    assert await host.infer(words, 1) == logits[1]
    assert await host.read(Register.STATUS) == 0


@cocotb.test()
async def input_is_refused_while_the_core_works(dut) -> None:
    host, _, words, logits = await start(dut)
    k, expected = next(iter(logits.items()))
    await host.stream(words)
    await host.write(Register.K, k)
    await host.write(Register.CONTROL, 1)
    ahead = cocotb.start_soon(host.stream(words))  # waits, then is the next inference's input
    assert await with_timeout(host.results(), 1, "ms") == expected
    await ahead
    await host.write(Register.CONTROL, 1)
    assert await with_timeout(host.results(), 1, "ms") == expected
