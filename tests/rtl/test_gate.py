import random
from dataclasses import dataclass

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator
from numpy.typing import NDArray

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_rtl import gate
from sparta_rtl.gate import GateUnit
from sparta_rtl.pool import pool_depth
from sparta_rtl.popcount import popcount
from sparta_sim.cycles.select import gate_cycles

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
    """Spikes (N, D, T), selected tokens (N,), and the descriptor's numbers."""

    spikes: IntArray
    selected: NDArray[np.bool_]
    alpha: int = 97
    beta: int = 21
    shift: int = 2
    pool_shift: int = 3
    in_base: int = 3
    out_base: int = 2048

    def fields(self, config: CoreConfig) -> dict[str, int]:
        tokens, features, steps = self.spikes.shape
        return {
            "tokens": tokens,
            "chunks": features // config.line,
            "groups": config.groups(steps),
            "in_base": self.in_base,
            "out_base": self.out_base,
            "gain_selected": self.alpha,
            "gain_other": self.beta,
            "shift": self.shift,
            "pool_shift": self.pool_shift,
        }

    @property
    def tokens(self) -> IntArray:
        gain = np.where(self.selected, self.alpha, self.beta)[:, None]
        return np.clip(self.spikes.sum(axis=2) * gain >> self.shift, 0, 255)

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


def run(config: CoreConfig, cases: list[Case]) -> list[tuple[dict[int, int], list[int], int]]:
    """Written lines by address, pool sums in the order of writing and cycles of each case."""
    dut, rng, results = GateUnit(config), random.Random(1), []
    every_segment = (1 << config.segments) - 1
    memory: dict[int, int] = {}

    async def spike_memory(ctx):
        pending = None
        while True:
            _, _, en, addr = await ctx.tick().sample(dut.spikes.en, dut.spikes.addr)
            if en:
                pending = memory[addr]
            ctx.set(dut.spikes.data, pending or 0)

    async def bench(ctx):
        for case in cases:
            memory.clear()
            memory.update(enumerate(to_lines(config, case.spikes), case.in_base))
            ctx.set(dut.layer, {"op": 0, "id": 0, **case.fields(config)})
            ctx.set(dut.selected, sum(int(bit) << i for i, bit in enumerate(case.selected)))
            ctx.set(dut.start, 1)
            lines: dict[int, int] = {}
            sums: list[int] = []
            cycles, done = 0, False
            while not done:
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
                    assert addr not in lines
                    lines[addr] = data
                if sum_en:
                    assert feature == len(sums)
                    sums.append(value)
                if not done:
                    cycles += 1
                assert cycles < 20_000, "the unit does not finish"
            results.append((lines, sums, cycles))
            ctx.set(dut.layer, {})
            for _ in range(rng.randrange(3)):
                await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(spike_memory, background=True)
    sim.add_testbench(bench)
    sim.run()
    return results


def random_case(shape: tuple[int, int, int], seed: int = 0, **numbers: int) -> Case:
    rng = np.random.default_rng(seed)
    spikes = (rng.random(shape) < rng.random((*shape[:2], 1))).astype(int)
    return Case(spikes, rng.random(shape[0]) < 0.4, **numbers)


def check(config: CoreConfig, cases: list[Case]) -> None:
    for case, (lines, sums, cycles) in zip(cases, run(config, cases), strict=True):
        expected = to_lines(config, planes(case.tokens))
        assert lines == dict(enumerate(expected, case.out_base))
        assert sums == case.sums.tolist()
        assert cycles == gate_cycles(config, case.fields(config))


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


@pytest.mark.parametrize("name", NAMED_CONFIGS)
def test_named_cores(name: str) -> None:
    config = NAMED_CONFIGS[name]
    shape = (4, config.max_features, config.max_steps)
    check(config, [random_case(shape, seed=5, out_base=512)])


def test_pool_depth_is_whole_lines() -> None:
    assert pool_depth(core(8, 16, 8, max_features=17)) == 32


def test_a_wrong_popcount_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "popcount", lambda bits: popcount(bits[:-1]))
    with pytest.raises(AssertionError):
        check(core(8, 4, 8), [random_case((3, 8, 8))])


@pytest.mark.parametrize("name", NAMED_CONFIGS)
def test_converts_to_verilog(name: str) -> None:
    assert "module top" in verilog.convert(GateUnit(NAMED_CONFIGS[name]))
