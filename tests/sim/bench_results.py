"""cocotb bench of the result port: a valid/ready stream under random stalls. Run by test_cocotb.py."""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

LANES, SUM_BITS = 4, 28
STALL = float(os.environ.get("BENCH_STALL", "0"))


def item(tile: int, values: list[int]) -> int:
    """Bits of a value item: position (24), tile (10), values."""
    word = tile << 24
    for lane, value in enumerate(values):
        word |= (value & (1 << SUM_BITS) - 1) << 34 + lane * SUM_BITS
    return word


@cocotb.test()
async def every_result_arrives_once_in_order(dut) -> None:
    rng = random.Random(3)
    dut.rst.value, dut.i__valid.value, dut.o__ready.value = 1, 0, 0
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    networks = [[rng.randrange(-(1 << 27), 1 << 27) for _ in range(n)] for n in (1, 3, 4, 5, 8, 11)]

    async def producer() -> None:
        for logits in networks:
            dut.outputs.value = len(logits)
            for tile in range(-(-len(logits) // LANES)):
                values = [*logits, 0, 0, 0][tile * LANES : tile * LANES + LANES]
                while rng.random() < STALL:
                    await FallingEdge(dut.clk)
                dut.i__payload.value = item(tile, values)
                dut.i__valid.value = 1
                taken = 0
                while not taken:
                    await RisingEdge(dut.clk)
                    taken = int(dut.i__ready.value)
                    await FallingEdge(dut.clk)
                dut.i__valid.value = 0
            while not int(dut.idle.value):
                await FallingEdge(dut.clk)

    sending = cocotb.start_soon(producer())
    found, waiting = [], None
    for _ in range(5000):
        if len(found) == sum(map(len, networks)):
            break
        accept = rng.random() >= STALL
        dut.o__ready.value = accept
        await RisingEdge(dut.clk)
        offered = int(dut.o__payload.value) if int(dut.o__valid.value) else None
        await FallingEdge(dut.clk)
        assert waiting is None or offered == waiting, "the payload changed while it waited"
        waiting = None if accept else offered
        if accept and offered is not None:
            found.append(offered)
    await sending
    expected = [
        (value & 0xFFFFFFFF) | (n == len(logits) - 1) << 32
        for logits in networks
        for n, value in enumerate(logits)
    ]
    assert found == expected
