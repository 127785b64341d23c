"""Bench of the shared fire stage: sums of each step give the interpreter's spikes, at their place in the memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination, Op, encode
from sparta_hw.interpreter.hilif import hilif
from sparta_hw.ir import Kind, SpikingConv, Value
from sparta_hw.numerics import FixedPoint
from sparta_hw.passes.plan import Tiling
from sparta_hw.passes.weights import weight_rows
from sparta_hw.tensor_layout import TensorLayout
from sparta_rtl.accumulator import sums_layout
from sparta_rtl.layouts import spike_item_layout
from sparta_rtl.shared_fire import LOOP_CYCLES
from sparta_sim.benches.memories import expect_lines, spike_layout
from sparta_sim.benches.streams import Bench, EventLog, bits_of, unit_test

BIT = FixedPoint(1, 0, False)
OUT_BASE = 40
ITEM_CYCLES, IDLE_CYCLES, FREE_LEAD = 8, 9, 6


@dataclass(frozen=True)
class _Case:
    """Neurons, their sums (T, positions, tiles, P) in the order of the lanes, and the interpreter's spikes."""

    fields: dict[str, int]
    headers: NDArray[np.uint8]
    sums: NDArray[np.int32]
    target: TensorLayout
    expected: NDArray[np.uint8]


def _case(config: CoreConfig, rng: np.random.Generator) -> _Case:
    steps, positions = int(rng.integers(1, config.max_steps + 1)), int(rng.integers(1, 4))
    slots, soft = int(rng.integers(1, config.fire_share + 1)), bool(rng.integers(2))
    used = slots * config.fire_lanes
    outputs = int(rng.integers(1, 3 * used + 1))
    tiles = -(-outputs // used)
    output = Value("out", (steps, outputs, 1, positions), BIT, Kind.SPIKES)
    op = SpikingConv(
        node="neurons", input=Value("in", (steps, 1, 1, positions), BIT, Kind.SPIKES), output=output,
        weight=np.zeros((outputs, 1, 1, 1), np.int64), bias=rng.integers(-3000, 3000, outputs),
        shift=int(rng.integers(0, 4)), stride=1, pad=0, leak=rng.integers(1, 256, outputs),
        threshold=rng.integers(1, 4000, outputs), soft_reset=soft,
        v_reset=0 if soft else int(rng.integers(-3000, 3000)), membrane=FixedPoint(config.membrane_bits, 6),
    )  # fmt: skip
    limit = 1 << config.acc_bits - 1
    sums = rng.integers(-limit, limit, (steps, 1, 1, positions, outputs)).astype(np.int32)
    sums >>= rng.integers(0, config.acc_bits, sums.shape)
    membrane, spikes = np.full(sums.shape[1:], op.v_reset, np.int32), np.empty(sums.shape, np.uint8)
    hilif(op, sums, np.zeros(1, np.int64), membrane, spikes)

    tiling = Tiling(
        in_pitch=1, run=1, kernel_height=1, slots=slots, tiles=tiles, out_pitch=tiles * used,
        weight_base=0, weight_pitch=config.header_rows + 1,
    )  # fmt: skip
    of_lanes = np.zeros((steps, positions, tiles, config.lanes), np.int32)
    by_tile = np.zeros((steps, positions, tiles * used), np.int32)
    by_tile[..., :outputs] = sums.reshape(steps, positions, outputs)
    of_lanes[..., :used] = by_tile.reshape(steps, positions, tiles, used)
    fields = {
        "soft": int(soft), "destination": Destination.SPIKES, "shift": op.shift, "slots": slots, "steps": steps,
        "groups": steps, "out_steps": steps, "out_groups": steps, "tiles": tiles, "out_base": OUT_BASE,
        "out_pitch": tiling.out_pitch, "outputs": outputs, "v_reset": op.v_reset,
    }  # fmt: skip
    rows = weight_rows(op, tiling, config).reshape(tiles, -1, config.lanes)
    return _Case(
        fields,
        rows[:, : config.header_rows],
        of_lanes,
        spike_layout(config, output, tiling.out_pitch, OUT_BASE),
        spikes.reshape(steps, positions, outputs).transpose(0, 2, 1)[:, :, None],
    )


class _Tile:
    """Drives one tile; ``began`` has the first cycle of each step, ``ended`` the last one."""

    def __init__(self, bench: Bench, case: _Case) -> None:
        self._bench, self._case = bench, case
        self.began: list[int] = []
        self.ended = 0

    async def run(self, tile: int) -> None:
        """Header rows, then the sums of each position and step, as the accumulators hand them over."""
        bench, dut, case = self._bench, self._bench.dut, self._case
        dut.begin.value = 1
        await bench.tick()
        dut.begin.value, dut.tile.value = 0, tile
        for n, row in enumerate(case.headers[tile]):
            while bench.pauses():
                await bench.tick()
            bits = bench.config.weight_bits
            dut.header.value = sum(int(piece) << lane * bits for lane, piece in enumerate(row))
            dut.header_valid.value, dut.header_row.value = 1, n
            await bench.tick()
            dut.header_valid.value = 0
        steps, positions = case.sums.shape[:2]
        for position in range(positions):
            for step in range(steps):
                last = position == positions - 1 and step == steps - 1
                await self._hand_over(case.sums[step, position, tile], last)
        dut.full.value = 0
        while not int(dut.idle.value):
            await bench.tick()
        if not bench.stall:
            assert bench.cycle == self.ended + IDLE_CYCLES

    async def _hand_over(self, sums: NDArray[np.int32], final: bool) -> None:
        """The sums are there from the second cycle of ``full`` on, to the first one after ``taken``."""
        bench, dut = self._bench, self._bench.dut
        while bench.pauses():
            dut.full.value = 0
            await bench.tick()
        dut.full.value, dut.final_.value = 1, final
        await bench.tick()
        self.began.append(bench.cycle)
        layout = sums_layout(bench.config)
        dut.sums.value = bits_of(layout, [[int(one)] for one in sums])
        while not int(dut.taken.value):
            await bench.tick()
        self.ended = bench.cycle


@unit_test
async def spikes_equal_interpreter(dut: Any, stall: float) -> None:
    bench = await Bench.begin(dut, stall)
    config, rng = bench.config, np.random.default_rng(bench.rng.getrandbits(32))
    sent = EventLog(bench, bench.port("o_spikes", "valid"), bench.port("o_spikes", "payload"))
    free = EventLog(bench, dut.free)
    for _ in range(8):
        case = _case(config, rng)
        slots, steps, tiles = (case.fields[name] for name in ("slots", "steps", "tiles"))
        dut.layer.value = encode(Op.LAYER, "bench", **case.fields)
        began: list[int] = []
        for tile in range(tiles):
            run = _Tile(bench, case)
            await run.run(tile)
            began += run.began
        items = [spike_item_layout(config).from_bits(item) for (item,) in sent.events]
        positions = range(case.expected.shape[3])
        assert [(o.tile, o.position, o.slot, o.first_tile, o.first_group, o.last_group) for o in items] == [
            (tile, position, slot, tile == 0, step == 0, step == steps - 1)
            for tile in range(tiles)
            for position in positions
            for step in range(steps)
            for slot in range(slots)
        ]
        bits = config.fire_lanes * config.steps
        writes = [(o.line, o.words.as_bits() << o.segment * bits, 1 << o.segment) for o in items]
        expect_lines(config, writes, case.target, case.expected)
        assert sent.cycles == [first + slot + ITEM_CYCLES for first in began for slot in range(slots)]
        assert free.cycles == [first + max(slots - FREE_LEAD, 0) + 1 for first in began]
        if not stall:
            steps_of_tiles = np.array(began).reshape(tiles, -1)
            assert (np.diff(steps_of_tiles) == max(slots, LOOP_CYCLES)).all()
        for log in (sent, free):
            log.events.clear()
            log.cycles.clear()
