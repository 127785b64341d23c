"""Bench of streamed weights: cocotbext-axi's memory feeds the ring, which loses, repeats and reorders no row."""

import logging
from typing import Any

from cocotbext.axi import AxiRamRead, AxiReadBus

from sparta_hw.config import CoreConfig
from sparta_sim.benches.streams import Bench, unit_test

BASE, MEMORY_BYTES = 0x3000, 1 << 16

_PATIENCE = 5000
"""Cycles: more than any pause."""


class _Ram(AxiRamRead):
    """The read half of cocotbext-axi's AxiRam, whose reads fail from an address on."""

    bad_from = MEMORY_BYTES

    async def _read(self, address: int, length: int) -> bytes:
        if address + length > self.bad_from:
            raise ValueError(f"nothing lies at 0x{address:x}")
        return await super()._read(address, length)


class _Stream:
    """Streamed weights in front of an AXI memory, and what uses their rows."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.config, self.dut = bench, bench.config, bench.dut
        bus = AxiReadBus.from_prefix(bench.dut, "axi_")
        self.ram = _Ram(bus, bench.dut.clk, bench.dut.rst, size=MEMORY_BYTES)
        self.ram.log.setLevel(logging.ERROR)
        if bench.stall:
            for channel in (self.ram.ar_channel, self.ram.r_channel):
                channel.set_pause_generator(self._pauses())
        self.image = b""

    @classmethod
    async def begin(cls, dut: Any, stall: float) -> "_Stream":
        """Reset unit and memory: beats that a test before asked for do not come."""
        dut.axi__rvalid.value = 0
        return cls(await Bench.begin(dut, stall))

    def _pauses(self) -> Any:
        """Pauses of random length in either channel: latency of a burst, gaps between beats."""
        rng, stall = self.bench.rng, self.bench.stall
        while True:
            longest = 30 if rng.random() < stall / 5 else 2
            yield from [True] * rng.randint(0, longest)
            yield from [False] * rng.randint(1, 9)

    def new_image(self, tiles: list[int]) -> None:
        """Another image in the memory."""
        self.image = self.bench.rng.randbytes(sum(tiles) * self.config.lanes)
        self.ram.write(BASE, self.image)

    async def restart(self) -> None:
        """Begin with the image's first row."""
        dut = self.dut
        dut.control__base.value, dut.control__rows.value = BASE >> 12, len(self.image) // self.config.lanes
        dut.control__restart.value = 1
        await self.bench.tick()
        dut.control__restart.value = 0
        await self.bench.tick()

    async def take(self, tiles: list[int]) -> None:
        """Wait for each tile, read all of its rows, and release it."""
        dut, depth, first = self.dut, self.config.weight_rows, 0
        dut.read__en.value = 1
        for rows in tiles:
            waited = 0
            while int(dut.ring__filled.value) < rows:
                await self.bench.tick()
                waited += 1
                assert waited < _PATIENCE, f"row {first} of the stream does not come"
            assert int(dut.ring__oldest.value) == first % depth
            for row in range(first, first + rows + 1):
                dut.read__addr.value = row % depth
                await self.bench.tick()
                if row > first:
                    await self._expect_row(row - 1)
            first += rows
            dut.ring__released.value, dut.ring__release.value = rows, 1
            await self.bench.tick()
            dut.ring__release.value = 0
            await self.bench.tick()

    async def _expect_row(self, row: int) -> None:
        lanes = self.config.lanes
        at = row * lanes % len(self.image)
        found = int(self.dut.read__data.value).to_bytes(lanes, "little")
        assert found == self.image[at : at + lanes], f"row {row} of the stream"


def _tiles(bench: Bench, config: CoreConfig, count: int) -> list[int]:
    """Of any size, of which two and a burst fit the ring."""
    largest = (config.weight_rows - config.burst_rows) // 2
    return [bench.rng.randint(1, largest) for _ in range(count)]


@unit_test
async def every_row_in_order(dut: Any, stall: float) -> None:
    stream = await _Stream.begin(dut, stall)
    bench = stream.bench
    tiles = _tiles(bench, bench.config, 6)
    stream.new_image(tiles)
    await stream.restart()
    await stream.take(tiles * 3)
    assert not int(dut.control__failed.value)


@unit_test
async def another_image_in_mid_burst(dut: Any, stall: float) -> None:
    stream = await _Stream.begin(dut, stall)
    bench = stream.bench
    for _ in range(8):
        tiles = _tiles(bench, bench.config, 3)
        await bench.tick(bench.rng.randint(1, 80))
        stream.new_image(tiles)
        await stream.restart()
        await bench.tick(bench.rng.randint(1, 80))
        await stream.restart()
        await stream.take(tiles[: bench.rng.randint(1, 3)])


@unit_test
async def an_error_stops_the_stream(dut: Any, stall: float) -> None:
    """Rows before it count, and no others, until the image is begun again."""
    stream = await _Stream.begin(dut, stall)
    bench, config = stream.bench, stream.config
    tiles = _tiles(bench, config, 4)
    stream.new_image(tiles)
    row = sum(tiles[:2]) + bench.rng.randrange(tiles[2])
    stream.ram.bad_from = BASE + (row + 1) * config.lanes - 1
    await stream.restart()
    await stream.take(tiles[:2])
    await bench.tick(2000)
    assert int(dut.control__failed.value)
    assert int(dut.ring__filled.value) == row - sum(tiles[:2])
    assert not int(dut.axi__arvalid.value)
    stream.ram.bad_from = MEMORY_BYTES
    await stream.restart()
    assert not int(dut.control__failed.value)
    await stream.take(tiles)
