import random
from dataclasses import dataclass, replace

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator
from numpy.typing import NDArray

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_rtl import gate
from sparta_rtl.gate import GateUnit
from sparta_rtl.layouts import record_layout
from sparta_rtl.pool import pool_depth
from sparta_rtl.popcount import popcount
from sparta_sim.cycles.tokens import gate_cycles

IntArray = NDArray[np.int64]


def core(steps: int, line: int, max_steps: int, lanes: int = 2, max_features: int = 16) -> CoreConfig:
    return CoreConfig(
        name="test",
        lanes=lanes,
        line=line,
        steps=steps,
        max_steps=max_steps,
        max_tokens=16,
        max_topk=16,
        max_features=max_features,
        spike_lines=4096,
    )


@dataclass(frozen=True)
class Case:
    """Spikes (positions, D, T), winners (N,), and the descriptor's numbers."""

    spikes: IntArray
    selected: NDArray[np.bool_]
    alpha: int = 97
    beta: int = 21
    shift: int = 2
    pool_shift: int = 3
    in_base: int = 3
    out_base: int = 2048
    limit: int = 255
    group: IntArray | None = None
    cells: IntArray | None = None
    msp: IntArray | None = None
    timing: IntArray | None = None
    feature_base: int = 0
    other_chunks: int = 0

    def fields(self, config: CoreConfig) -> dict[str, int]:
        _, features, steps = self.spikes.shape
        return {
            "tokens": len(self.selected),
            "chunks": features // config.line,
            "groups": config.groups(steps),
            "in_base": self.in_base,
            "out_base": self.out_base,
            "out_chunks": features // config.line + self.other_chunks,
            "feature_base": self.feature_base,
            "grouped": int(self.group is not None),
            "pooled": int(self.cells is not None),
            "gain_selected": self.alpha,
            "gain_other": self.beta,
            "timing": int(self.timing is not None),
            "shift": self.shift,
            "limit": self.limit,
            "pool_shift": self.pool_shift,
        }

    @property
    def grid(self) -> IntArray:
        """Grid token of each token."""
        return np.arange(len(self.selected)) if self.group is None else self.group

    @property
    def gains(self) -> IntArray:
        gain = np.where(self.selected, self.alpha, self.beta)
        if self.timing is None:
            return gain
        assert self.msp is not None
        return np.minimum(gain * self.timing[(self.msp[self.grid] >> 5) + 64] >> 6, 255)

    @property
    def tokens(self) -> IntArray:
        position = self.grid if self.cells is None else self.cells[self.grid]
        count = self.spikes.sum(axis=2)[position]
        return np.minimum(count * self.gains[:, None] >> self.shift, self.limit)

    @property
    def sums(self) -> IntArray:
        return self.tokens.sum(axis=0) << self.pool_shift


def to_lines(config: CoreConfig, words: IntArray) -> list[int]:
    """Lines of a tensor (N, D, steps), entry by entry as ARCHITECTURE.md lays them out."""
    steps = words.shape[2]
    groups = config.groups(steps)
    entries = words.reshape(-1, steps)
    lines = [0] * (len(entries) // config.line * groups)
    for entry, word in enumerate(entries):
        for step, bit in enumerate(word):
            line = entry // config.line * groups + step // config.steps
            lines[line] |= int(bit) << (entry % config.line * config.steps + step % config.steps)
    return lines


def planes(tokens: IntArray) -> IntArray:
    """Bit planes (N, D, 8) of u8 integers, most significant first."""
    return tokens[:, :, None] >> np.arange(8)[::-1] & 1


@dataclass
class Answer:
    """Written lines by address, pool sums by feature, gains, and cycles of one case."""

    lines: dict[int, int]
    sums: dict[int, int]
    gains: list[int]
    cycles: int


def run(config: CoreConfig, cases: list[Case]) -> list[Answer]:
    """A unit that works on the cases one after the other."""
    dut, rng, answers = GateUnit(config), random.Random(1), []
    every_segment = (1 << config.segments) - 1
    memory: dict[int, int] = {}
    group: list[int] = []
    records: list[int] = []
    layout = record_layout(config)

    def reader(port, content):
        async def process(ctx):
            async for _, _, en, addr in ctx.tick().sample(port.en, port.addr):
                if en:
                    ctx.set(port.data, content[addr])

        return process

    async def load(ctx, case: Case) -> None:
        memory.clear()
        memory.update(enumerate(to_lines(config, case.spikes), case.in_base))
        group[:] = case.grid.tolist() if case.group is not None else [0] * len(case.selected)
        count = int(case.grid.max()) + 1
        msp = np.zeros(count, int) if case.msp is None else case.msp
        cells = np.zeros(count, int) if case.cells is None else case.cells
        records[:] = [
            layout.const({"msp": int(msp[p]), "cell": int(cells[p])}).as_bits() for p in range(count)
        ]
        for row, factor in enumerate([] if case.timing is None else case.timing.tolist()):
            ctx.set(dut.factors.en, 1)
            ctx.set(dut.factors.addr, row)
            ctx.set(dut.factors.data, factor | 0x5A00)
            await ctx.tick()
            ctx.set(dut.factors.addr, row + 128)
            ctx.set(dut.factors.data, 0)
            await ctx.tick()
        ctx.set(dut.factors.en, 0)

    async def one(ctx, case: Case) -> Answer:
        await load(ctx, case)
        ctx.set(dut.layer, {"op": 0, "id": 0, **case.fields(config)})
        ctx.set(dut.selected, sum(int(bit) << i for i, bit in enumerate(case.selected)))
        ctx.set(dut.start, 1)
        answer = Answer({}, {}, [], 0)
        while True:
            _, _, done, en, addr, data, sum_en, feature, value = await ctx.tick().sample(
                dut.done,
                dut.write.en,
                dut.write.addr,
                dut.write.data,
                dut.pool.en,
                dut.pool.addr,
                dut.pool.data,
            )
            ctx.set(dut.start, 0)
            if en:
                assert en == every_segment
                assert addr not in answer.lines
                answer.lines[addr] = data
            if sum_en:
                assert feature not in answer.sums
                answer.sums[feature] = value
            if done:
                break
            answer.cycles += 1
            assert answer.cycles < 20_000, "the unit does not finish"
        for token in range(len(case.selected)):
            ctx.set(dut.gains.en, 1)
            ctx.set(dut.gains.addr, token)
            await ctx.tick()
            answer.gains.append(ctx.get(dut.gains.data))
        return answer

    async def bench(ctx):
        for case in cases:
            answers.append(await one(ctx, case))
            ctx.set(dut.layer, {})
            for _ in range(rng.randrange(3)):
                await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for port, content in ((dut.spikes, memory), (dut.group, group), (dut.records, records)):
        sim.add_testbench(reader(port, content), background=True)
    sim.add_testbench(bench)
    sim.run()
    return answers


def random_case(shape: tuple[int, int, int], seed: int = 0, **numbers: int) -> Case:
    rng = np.random.default_rng(seed)
    spikes = (rng.random(shape) < rng.random((*shape[:2], 1))).astype(int)
    return Case(spikes, rng.random(shape[0]) < 0.4, **numbers)


def grouped_case(shape: tuple[int, int, int], tokens: int, seed: int, pooled: bool, **numbers: int) -> Case:
    """Tokens that are any grid tokens, some twice; a pooled source has its own positions."""
    rng = np.random.default_rng(seed)
    grid = 3 * shape[0] if pooled else shape[0]
    return replace(
        random_case(shape, seed, **numbers),
        selected=rng.random(tokens) < 0.4,
        group=rng.integers(0, grid, tokens),
        cells=rng.integers(0, shape[0], grid) if pooled else None,
        msp=rng.integers(-2048, 2048, grid),
        timing=rng.integers(0, 256, 128),
    )


def expected_lines(config: CoreConfig, case: Case) -> dict[int, int]:
    """Each token's lines, ``out_chunks`` apart."""
    own = case.fields(config)["chunks"] * config.groups(8)
    pitch = case.fields(config)["out_chunks"] * config.groups(8)
    lines = to_lines(config, planes(case.tokens))
    return {case.out_base + at // own * pitch + at % own: line for at, line in enumerate(lines)}


def check(config: CoreConfig, cases: list[Case]) -> None:
    for case, answer in zip(cases, run(config, cases), strict=True):
        assert answer.gains == case.gains.tolist()
        assert answer.lines == expected_lines(config, case)
        assert answer.sums == dict(enumerate(case.sums.tolist(), case.feature_base))
        assert answer.cycles == gate_cycles(config, case.fields(config))


@pytest.mark.parametrize(
    ("steps", "line", "max_steps", "shape"),
    [
        (8, 4, 8, (5, 16, 8)),  # one line a token
        (8, 8, 8, (4, 16, 3)),  # T < S
        (4, 8, 16, (3, 16, 16)),  # more groups than plane lines
        (4, 8, 16, (3, 16, 6)),  # as many
        (4, 4, 16, (3, 8, 2)),  # fewer
        (1, 2, 4, (2, 6, 4)),  # S = 1: eight plane lines
        (1, 16, 12, (2, 16, 12)),  # S = 1: twelve groups
        (16, 4, 16, (3, 8, 16)),  # planes leave half of an entry empty
        (5, 4, 7, (3, 8, 7)),  # S divides nothing
        (1, 2, 1, (2, 4, 1)),  # the smallest core
        (8, 4, 8, (1, 4, 8)),  # one token, one chunk
        (8, 4, 8, (16, 4, 8)),  # all tokens
    ],
)
def test_tokens_sums_and_cycles(steps: int, line: int, max_steps: int, shape: tuple[int, int, int]) -> None:
    config = core(steps, line, max_steps)
    case = random_case(shape)
    silent, full = np.zeros(shape, int), np.ones(shape, int)
    everyone = np.ones(shape[0], bool)
    check(
        config,
        [
            case,
            Case(silent, case.selected),
            Case(full, everyone, alpha=255, shift=0, pool_shift=0),
            Case(full, ~everyone, beta=255, shift=1),
            random_case(shape, seed=1, alpha=64, beta=0, shift=6, pool_shift=5, in_base=0, out_base=3000),
            random_case(shape, seed=2, alpha=1, beta=255, shift=31),
        ],
    )


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize(("steps", "line", "max_steps"), [(8, 4, 8), (4, 8, 16), (3, 2, 7), (1, 4, 4)])
def test_grouped_tokens_timing_and_pooled_sources(
    steps: int, line: int, max_steps: int, pooled: bool
) -> None:
    config = core(steps, line, max_steps)
    shape = (4, 8, max_steps)
    numbers = {"limit": 127, "feature_base": 8, "other_chunks": 2}
    check(config, [grouped_case(shape, n, n, pooled, shift=2, **numbers) for n in (1, 7, 16)])


@pytest.mark.parametrize("name", ["digits", "tiny"])
def test_named_cores(name: str) -> None:
    config = NAMED_CONFIGS[name]
    shape = (4, config.line * 2, config.max_steps)
    check(config, [random_case(shape, seed=5, out_base=512)])


def test_pool_depth_is_whole_lines() -> None:
    assert pool_depth(core(8, 16, 8, max_features=17)) == 32


def test_a_wrong_popcount_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "popcount", lambda bits: popcount(bits[:-1]))
    with pytest.raises(AssertionError):
        check(core(8, 4, 8), [random_case((3, 8, 8))])


def test_gains_of_another_token_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "GAIN_LATENCY", gate.GAIN_LATENCY + 1)
    with pytest.raises(AssertionError):
        check(core(8, 4, 8), [grouped_case((4, 8, 8), 7, 1, pooled=True)])


@pytest.mark.parametrize("name", ["digits", "tiny"])
def test_converts_to_verilog(name: str) -> None:
    assert "module top" in verilog.convert(GateUnit(NAMED_CONFIGS[name]))
