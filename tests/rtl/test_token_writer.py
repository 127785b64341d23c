import random

import numpy as np
import pytest
from amaranth.hdl import Cat
from amaranth.sim import Simulator

from sparta_hw.config import CoreConfig
from sparta_hw.ir import Kind
from sparta_hw.numerics import FixedPoint
from sparta_hw.tensor_layout import Memory, TensorLayout
from sparta_rtl import token_writer
from sparta_rtl.token_writer import TokenWriter


def core(lanes: int, line: int, steps: int) -> CoreConfig:
    return CoreConfig(
        name="test", lanes=lanes, line=line, steps=steps, max_topk=12, max_features=16, spike_lines=512
    )


def layout(config: CoreConfig, rows: int, pitch: int) -> TensorLayout:
    groups = config.groups(8)
    return TensorLayout(
        name="a",
        memory=Memory.SPIKES,
        shape=(rows, pitch),
        kind=Kind.INTEGERS,
        type=FixedPoint(8, 0),
        pitch=pitch,
        steps=8,
        groups=groups,
        lines=rows * pitch // config.line * groups,
    )


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize(
    ("lanes", "line", "steps"),
    [(4, 8, 8), (4, 4, 4), (2, 8, 3), (4, 8, 1), (2, 2, 1), (8, 16, 16), (4, 8, 2), (2, 4, 4), (8, 8, 1)],
)
def test_rows_become_bit_planes(lanes: int, line: int, steps: int, stall: float) -> None:
    check(lanes, line, steps, stall)


def test_planes_at_the_wrong_bits_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_writer, "Cat", lambda *parts: Cat(*parts[::-1]))
    with pytest.raises(AssertionError):
        check(2, 8, 3, 0.0)


def check(lanes: int, line: int, steps: int, stall: float) -> None:
    config, rows, pitch, base = core(lanes, line, steps), 5, 16, 40
    values = np.random.default_rng(1).integers(-128, 128, (rows, pitch))
    place = layout(config, rows, pitch)
    lines = [0] * place.lines
    dut, rng = TokenWriter(config), random.Random(2)
    stalls = 0

    async def memory(ctx):
        width = lanes * steps
        async for _, _, en, addr, content in ctx.tick().sample(dut.write.en, dut.write.addr, dut.write.data):
            for segment in range(config.segments):
                if en >> segment & 1:
                    mask = (1 << width) - 1 << segment * width
                    lines[addr - base] = lines[addr - base] & ~mask | content & mask

    async def bench(ctx):
        nonlocal stalls
        ctx.set(dut.layer.pitch, pitch // lanes)
        ctx.set(dut.layer.out_base, base)
        # Two heads, one after the other.
        for half in range(2):
            for rank in range(rows):
                for feature in range(half * pitch // 2, (half + 1) * pitch // 2):
                    while rng.random() < stall:
                        await ctx.tick()
                    payload = {"rank": rank, "feature": feature, "value": int(values[rank, feature])}
                    ctx.set(dut.i.payload, payload)
                    ctx.set(dut.i.valid, 1)
                    while True:
                        _, _, ready = await ctx.tick().sample(dut.i.ready)
                        if ready:
                            break
                        stalls += 1
                    ctx.set(dut.i.valid, 0)
        while not ctx.get(dut.idle):
            await ctx.tick()
        await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(memory, background=True)
    sim.add_testbench(bench)
    sim.run()
    words = place.pack(values, config)
    expected = [sum(int(word) << 32 * n for n, word in enumerate(row)) for row in words]
    assert lines == expected
    if not stall:
        assert stalls == (rows * pitch // lanes - 1) * max(config.groups(8) - lanes, 0)
