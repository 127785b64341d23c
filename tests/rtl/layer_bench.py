"""Random layers, and a bench that runs them on the simulated neuron array."""

import random
from dataclasses import dataclass, field

from amaranth.hdl import Module, unsigned
from amaranth.lib import memory
from amaranth.sim import Simulator

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination, Op, decode, encode
from sparta_rtl.neuron_array import NeuronArray
from tests.rtl.layer_reference import Fields, Memories

SMALL = {"max_tokens": 32, "max_topk": 8, "spike_lines": 1024, "weight_rows": 1024, "max_steps": 32}

CONFIGS = {
    config.name: config
    for config in (
        CoreConfig(name="square", lanes=4, steps=4, line=4, **SMALL),
        CoreConfig(name="long line", lanes=2, steps=3, line=8, sum_sets=3, **SMALL),
        CoreConfig(name="one step", lanes=2, steps=1, line=2, **SMALL),
        CoreConfig(name="two steps", lanes=4, steps=2, line=8, sum_sets=2, **SMALL),
        CoreConfig(name="narrow sums", lanes=2, steps=8, line=4, acc_bits=22, sum_bits=34, **SMALL),
        CoreConfig(name="ten steps", lanes=2, steps=10, line=4, sum_sets=4, **SMALL),
    )
}

_PLAIN = SMALL | {"steps": 1, "attention": False, "counts": True}
SHARED = {
    config.name: config
    for config in (
        CoreConfig(name="four slots", lanes=8, fire_share=4, weight_bits=6, line=4, **_PLAIN),
        CoreConfig(name="eight slots", lanes=16, fire_share=8, weight_bits=8, line=2, **_PLAIN),
        CoreConfig(name="sixteen slots", lanes=32, fire_share=16, weight_bits=8, line=4, **_PLAIN),
        CoreConfig(name="two slots", lanes=4, fire_share=2, weight_bits=4, line=16, sum_sets=2, **_PLAIN),
    )
}
"""Cores whose lanes share the fire stage."""


@dataclass
class Case:
    """One layer: descriptor, memories, and what the hardware is expected to need them for."""

    fields: Fields
    memories: Memories


@dataclass
class Run:
    """What the simulated array did with one layer."""

    items: list[dict] = field(default_factory=list)
    cycles: int = 0
    entries: int = 0


def random_case(config: CoreConfig, seed: int, kind: str | None = None, tiles: int = 0) -> Case:
    """A layer of kind ``conv``, ``direct``, ``ranked``, ``hidden`` (two window rows) or ``vector`` (one position).

    It has one to three tiles unless it is said how many.
    """
    rng = random.Random(f"{config.name} {seed}")
    shared = config.fire_share > 1
    kind = kind or rng.choice(["conv", "conv", "direct", "ranked", "hidden", "vector"])
    if shared:
        kind = rng.choice(["conv", "vector"])
    grid = kind in ("conv", "direct")
    most = min(9, 3 * config.steps) if config.steps < 9 else 2 * config.steps
    # More than nine bit planes would not fit into the sums of any of these cores.
    steps = 8 if kind == "hidden" else rng.randint(1, most if kind == "conv" and not shared else min(9, most))
    channels = rng.randint(1, 9 if grid else 40 if kind == "vector" else 20)
    tiles, height, width, kernel, stride, pad = tiles or rng.randint(1, 3), 1, 1, 1, 1, 0
    topk = rng.randint(1, config.max_topk)
    if grid:
        height, width, kernel = rng.randint(1, 5), rng.randint(1, 5), rng.randint(1, 3)
        stride, pad = rng.randint(1, 3), rng.randint(0, kernel - 1)
        height, width = max(height, kernel - 2 * pad), max(width, kernel - 2 * pad)
    out_height, out_width = (
        (height + 2 * pad - kernel) // stride + 1,
        (width + 2 * pad - kernel) // stride + 1,
    )
    integer = not shared and kind != "conv" and (kind != "vector" or rng.random() < 0.8)
    slots = rng.randint(1, config.fire_share) if shared else 1
    width_of_tile = slots * config.fire_lanes
    destination = Destination.SPIKES
    if integer and kind != "direct":
        destination = rng.choice(
            [d for d in Destination if d not in (Destination.SPIKES, Destination.TOKENS, Destination.COUNTS)]
        )
    if kind == "hidden":
        destination = Destination.TOKENS
    pitch = channels if grid else -(-channels // config.lanes) * config.lanes
    row_pitch = pitch * (width if grid else topk if kind != "vector" else 1)
    rows = 2 if kind == "hidden" else kernel
    run = kernel * channels
    out_steps = 8 if kind == "hidden" else rng.randint(1, most) if integer else steps
    fields = {
        "integer": int(integer),
        "signed": rng.randint(0, 1) if integer else 0,
        "direct": int(kind == "direct"),
        "dense": int(rng.random() < 0.2),
        "soft": rng.randint(0, 1),
        "ranked": int(kind in ("ranked", "hidden")),
        "destination": destination,
        "shift": rng.choice([0, 0, 0, 1, 1, 3, 5, 31]),
        "pad": pad,
        "kernel_height": rows,
        "steps": steps,
        "groups": config.groups(steps),
        "out_steps": out_steps,
        "out_groups": config.groups(out_steps),
        "in_base": rng.randint(0, 20),
        "out_base": rng.randint(300, 400),
        "in_height": 2 if kind == "hidden" else height,
        "row_pitch": row_pitch,
        "out_height": out_height,
        "out_width": out_width,
        "run": run,
        "x_step": stride * pitch,
        "y_step": stride,
        "x_start": pad * pitch,
        "slots": slots,
        "tiles": tiles,
        "out_pitch": tiles * width_of_tile,
        "outputs": tiles * width_of_tile,
        "weight_base": rng.randint(0, 30),
        "weight_pitch": config.header_rows + rows * run + rng.randint(0, 3),
        "feedback_gain": rng.choice([0, 1, 255]) if config.attention else 0,
        "feedback_limit": rng.choice([0, 20, 4095]),
        "v_reset": 0 if rng.random() < 0.5 else rng.randint(-300, 300),
    }
    memories = _memories(rng, config, fields, topk)
    return Case(decode(encode(Op.LAYER, "test", **fields)), memories)


def _memories(rng: random.Random, config: CoreConfig, fields: Fields, topk: int) -> Memories:
    density = rng.choice([0.0, 0.02, 0.1, 0.3, 1.0])
    spikes = [0] * config.spike_lines
    entries = fields["in_height"] * fields["row_pitch"]
    for line in range(-(-entries // config.line) * fields["groups"]):
        bits = 0
        for place in range(config.line):
            for s in range(min(config.steps, fields["steps"] - line % fields["groups"] * config.steps)):
                bits |= (rng.random() < density) << place * config.steps + s
        spikes[fields["in_base"] + line] = bits
    weights = [rng.getrandbits(config.weight_bits * config.lanes) for _ in range(config.weight_rows)]
    for tile in range(fields["tiles"]):
        first = fields["weight_base"] + tile * fields["weight_pitch"]
        weights[first : first + config.header_rows] = _header(rng, config)
    state = rng.choice([0, 300, -300, 1 << 14, -(1 << 14), (1 << 25) - 1, -(1 << 25)])
    return Memories(spikes, weights, topk, state)


def _header(rng: random.Random, config: CoreConfig) -> list[int]:
    """Header rows of one tile: mostly small biases and thresholds, so that spikes depend on the input."""
    rows, bits, each = [0] * config.header_rows, config.weight_bits, config.fire_lanes
    for lane in range(config.lanes):
        bias = rng.randint(-300, 300) if rng.random() < 0.8 else rng.randint(-(1 << 23), (1 << 23) - 1)
        threshold = rng.randint(1, 200) if rng.random() < 0.8 else rng.randint(1, (1 << 15) - 1)
        parameters = (bias & 0xFFFFFF) | threshold << 24 | rng.randint(1, 255) << 40
        for n in range(48 // bits):
            piece = lane // each * len(rows) + n
            row, place = divmod(piece, config.fire_share)
            rows[row] |= (parameters >> bits * n & (1 << bits) - 1) << bits * (place * each + lane % each)
    return rows


class Bench:
    """A neuron array with memories around it; runs any number of layers, one after the other."""

    memories = ("spikes", "weights")

    def __init__(self, config: CoreConfig, array: type[NeuronArray] = NeuronArray) -> None:
        self.config, self.dut, self.top = config, array(config), Module()
        self.top.submodules.dut = self.dut
        self.cells = {name: self._memory(name) for name in self.memories}

    def _memory(self, name: str) -> memory.Memory:
        port = getattr(self.dut, name)
        cells = memory.Memory(shape=unsigned(len(port.data)), depth=1 << len(port.addr), init=[])
        self.top.submodules[name] = cells
        read = cells.read_port()
        self.top.d.comb += [read.en.eq(port.en), read.addr.eq(port.addr), port.data.eq(read.data)]
        return cells

    def run(self, cases: list[Case], stall: float = 0.0, seed: int = 0) -> list[Run]:
        """Simulate; outputs are not ready in a cycle with probability ``stall``."""
        dut, rng, runs = self.dut, random.Random(seed), []

        async def process(ctx) -> None:
            await self.begin(ctx)
            for case in cases:
                for name, cells in self.cells.items():
                    for row, value in enumerate(getattr(case.memories, name)):
                        ctx.set(cells.data[row], value)
                ctx.set(dut.layer, {name: int(value) for name, value in case.fields.items()})
                ctx.set(dut.topk, case.memories.topk)
                ctx.set(dut.state, case.memories.state)
                runs.append(await self._layer(ctx, rng, stall))

        sim = self.simulator()
        sim.add_testbench(process)
        sim.run()
        return runs

    def simulator(self) -> Simulator:
        """The clocked array."""
        sim = Simulator(self.top)
        sim.add_clock(1e-6)
        return sim

    async def begin(self, ctx) -> None:
        """Before the first layer."""

    async def _layer(self, ctx, rng: random.Random, stall: float) -> Run:
        dut, run = self.dut, Run()
        scalars = ("line", "segment", "position", "tile", "slot", "first_tile", "first_group", "last_group")
        outputs = [
            (dut.o_spikes, scalars, "words"),
            (dut.o_values, ("position", "tile"), "values"),
        ]
        ctx.set(dut.start, 1)
        while True:
            if ctx.get(dut.done):
                assert run.cycles, "done in the cycle of start"
                run.entries = ctx.get(dut.entries)
                await ctx.tick()
                return run
            for o, scalars, array in outputs:
                ctx.set(o.ready, rng.random() >= stall)
                if ctx.get(o.valid) and ctx.get(o.ready):
                    item = {name: ctx.get(o.payload[name]) for name in scalars}
                    run.items.append(item | {array: [ctx.get(v) for v in o.payload[array]]})
            await ctx.tick()
            ctx.set(dut.start, 0)
            run.cycles += 1
            if run.cycles > 20_000:
                raise TimeoutError(f"no done; {len(run.items)} items so far")
