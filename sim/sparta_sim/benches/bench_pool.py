"""Bench of the pool unit: sums of gate and attention as 8-bit integers in the spike memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparta_hw.descriptor import Op, encode
from sparta_hw.ir import Value
from sparta_hw.numerics import FixedPoint, floor_shift, saturate
from sparta_rtl.pool import pool_depth, pool_item_layout
from sparta_sim.benches.memories import expect_lines, spike_layout
from sparta_sim.benches.streams import Bench, WriteLog, bits_of, unit_test
from sparta_sim.cycles.tokens import pool_cycles

BYTE = FixedPoint(8, 0)


async def _pool(bench: Bench, start: NDArray, items: list[tuple[int, int]], shift: int, base: int) -> None:
    dut, config, features = bench.dut, bench.config, len(start)
    await bench.write("gate", (start & (1 << config.pool_bits) - 1).tolist())
    sums = start.copy()
    for feature, value in items:
        sums[feature] += value
    layout = pool_item_layout(config)
    payloads = [bits_of(layout, {"feature": feature, "value": value}) for feature, value in items]
    accepted = await bench.send("i", payloads)
    if not bench.stall and len({feature for feature, _ in items}) > 2:
        assert accepted == list(range(accepted[0], accepted[0] + len(items)))
    while not int(dut.idle.value):
        await bench.tick()

    fields = {"chunks": features // config.line, "shift": shift, "out_base": base}
    dut.layer.value = encode(Op.POOL, "bench", **fields)
    log = WriteLog(bench, "write")
    assert await bench.execute() == pool_cycles(config, fields)
    log.stop()
    target = spike_layout(config, Value("pooled", (features,), BYTE), features, base)
    expect_lines(config, log.events, target, saturate(floor_shift(sums, shift), BYTE))


@unit_test
async def sums_become_planes(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    rng = np.random.default_rng(bench.rng.getrandbits(32))
    limit = 1 << bench.config.pool_bits - 1
    for case in range(6):
        features = int(rng.integers(1, pool_depth(bench.config) // bench.config.line + 1)) * bench.config.line
        start = rng.integers(0, 1 << 12, features)
        items = [(d, int(rng.integers(-(1 << 11), 1 << 11))) for _ in range(3) for d in range(features)]
        await _pool(bench, start, items, int(rng.integers(0, 10)), 50 * case)
    for extreme in (limit - 1, -limit):
        await _pool(bench, np.full(features, extreme), [], 20, 3)
    await _pool(bench, np.arange(-features // 2, features - features // 2), [], 0, 1)


@unit_test
async def repeated_features_add_up(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    for distance in (1, 2, 3):
        items = [(n % distance, n * n - 700) for n in range(40)]
        await _pool(bench, np.zeros(pool_depth(bench.config), np.int64), items, 5, 0)
