import random
from dataclasses import dataclass, replace

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator
from numpy.typing import NDArray

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_rtl import attention, normalise, softmax
from sparta_rtl.attention import AttentionUnit, attend
from sparta_rtl.token_writer import TokenWriter
from sparta_sim.cycles.attention import attend_cycles

IntArray = NDArray[np.int64]


def core(lanes: int, max_topk: int = 20, chunks: int = 4, **sizes: int) -> CoreConfig:
    sizes = {"lanes": lanes, "line": max(lanes, 16), **sizes}
    return CoreConfig(name="test", max_topk=max_topk, max_features=chunks * lanes, **sizes)


@dataclass(frozen=True)
class Case:
    """s8 rows of K tokens, s12 masks, u8.6 sharpness, shift, and the features of a head (0: one head of all)."""

    query: IntArray
    key: IntArray
    value: IntArray
    scores: IntArray
    shift: int
    sharpness: IntArray | None = None
    head: int = 0

    @property
    def factors(self) -> IntArray:
        return np.full(len(self.scores), 64) if self.sharpness is None else self.sharpness

    @property
    def heads(self) -> list[slice]:
        features = self.query.shape[1]
        size = self.head or features
        return [slice(first, min(first + size, features)) for first in range(0, features, size)]

    @property
    def expected(self) -> IntArray:
        parts = (
            attend(
                self.query[:, at], self.key[:, at], self.value[:, at], self.scores, self.factors, self.shift
            )
            for at in self.heads
        )
        return np.concatenate(list(parts), axis=1)


def random_case(config: CoreConfig, topk: int, chunks: int, shift: int = 6, seed: int = 0) -> Case:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(-128, 128, (3, topk, chunks * config.lanes))
    return Case(*tokens, scores=rng.integers(-2048, 2048, topk) >> rng.integers(0, 8), shift=shift)


def run(
    config: CoreConfig, cases: list[Case], stall: float = 0.0, to_tokens: bool = False
) -> list[tuple[IntArray, int]]:
    """Results and cycles of one unit, perhaps with a token writer, that runs ``cases`` one after the other."""
    dut, writer, rng, answers = AttentionUnit(config), TokenWriter(config), random.Random(7), []
    m = Module()
    m.submodules += dut, writer
    if to_tokens:
        wiring.connect(m, dut.o, writer.i)
    token_list: list[int] = []

    async def load(ctx, port, rows: IntArray) -> None:
        ctx.set(port.en, 1)
        for address, row in enumerate(rows.reshape(-1, config.lanes)):
            ctx.set(port.addr, address)
            ctx.set(port.data, int.from_bytes(row.astype(np.int8).tobytes(), "little"))
            await ctx.tick()
        ctx.set(port.en, 0)

    async def one(ctx, case: Case) -> tuple[IntArray, int]:
        topk, features = case.query.shape
        for port, rows in ((dut.query, case.query), (dut.key, case.key), (dut.value, case.value)):
            await load(ctx, port, rows)
        token_list[:] = (case.scores & 0xFFF | case.factors << 12).tolist()
        ctx.set(dut.layer.pitch, features // config.lanes)
        ctx.set(dut.layer.chunks, (case.head or features) // config.lanes)
        ctx.set(dut.layer.shift, case.shift)
        ctx.set(dut.topk, topk)
        ctx.set(dut.start, 1)
        values, cycles, finished = np.zeros((topk, features), np.int64), 0, False
        order = ((rank, e) for at in case.heads for rank in range(topk) for e in range(at.start, at.stop))
        while True:
            if not to_tokens:
                ctx.set(dut.o.ready, rng.random() >= stall)
            _, _, accepted, o, done, idle = await ctx.tick().sample(
                dut.o.valid & dut.o.ready, dut.o.payload, dut.done, writer.idle
            )
            ctx.set(dut.start, 0)
            if accepted:
                assert not done
                place = next(order)
                assert place == (o.rank, o.feature)
                values[place] = o.value
            if finished and idle if to_tokens else done:
                assert next(order, None) is None
                return values, cycles
            finished |= bool(done)
            cycles += 1
            assert cycles < 100_000, "the unit does not finish"

    async def testbench(ctx) -> None:
        for case in cases:
            answers.append(await one(ctx, case))

    async def scores(ctx) -> None:
        async for _, _, en, address in ctx.tick().sample(dut.masks.en, dut.masks.addr):
            if en:
                ctx.set(dut.masks.data, token_list[address])

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.add_testbench(scores, background=True)
    sim.run()
    return answers


def check(config: CoreConfig, cases: list[Case], stall: float = 0.0, to_tokens: bool = False) -> None:
    for case, (values, cycles) in zip(cases, run(config, cases, stall, to_tokens), strict=True):
        np.testing.assert_array_equal(values, case.expected)
        topk, features = case.query.shape
        fields = {
            "pitch": features // config.lanes,
            "chunks": (case.head or features) // config.lanes,
            "to_tokens": int(to_tokens),
        }
        formula = attend_cycles(config, fields, topk)
        if stall:
            assert cycles >= formula
        else:
            assert cycles == formula


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_values_and_cycles(lanes: int, stall: float) -> None:
    config = core(lanes)
    sizes = [(1, 1), (2, 3), (3, 4), (5, 1), (7, 2), (1, 4), (11, 1), (2, 1), (20, 1)]
    check(config, [random_case(config, k, chunks, seed=k + chunks) for k, chunks in sizes], stall)


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_heads_and_sharpness(stall: float) -> None:
    config = core(lanes=4)
    rng = np.random.default_rng(5)
    cases = [
        replace(
            random_case(config, k, chunks, seed=k),
            sharpness=rng.integers(0, 256, k),
            head=head * config.lanes,
        )
        for k, chunks, head in [(1, 4, 1), (2, 3, 1), (3, 4, 2), (20, 2, 1), (9, 3, 2), (1, 1, 1), (5, 4, 3)]
    ]
    check(config, cases, stall)
    if not stall:
        check(config, cases, to_tokens=True)


@pytest.mark.parametrize(("lanes", "line"), [(2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (16, 16)])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 8])
def test_cycles_of_results_that_become_tokens(lanes: int, line: int, steps: int) -> None:
    """Writing ceil(8 / S) lines a chunk is the slowest stage when that exceeds P and K."""
    config = core(lanes, line=line, steps=steps)
    sizes = [(1, 1), (1, 4), (2, 3), (3, 1), (5, 2), (7, 1), (8, 1), (9, 2)]
    check(config, [random_case(config, k, chunks, seed=k) for k, chunks in sizes], to_tokens=True)


@pytest.mark.parametrize("shift", [0, 3, 9, 12, 20, 31])
def test_shifts(shift: int) -> None:
    config = core(lanes=4)
    check(config, [random_case(config, 9, 3, shift, seed) for seed in range(3)])


@pytest.mark.parametrize(("lanes", "max_topk"), [(2, 1), (4, 3), (32, 2), (64, 5)])
def test_core_sizes(lanes: int, max_topk: int) -> None:
    config = core(lanes, max_topk, chunks=2)
    check(config, [random_case(config, k, chunks) for k in (1, max_topk) for chunks in (1, 2)], stall=0.0)


@pytest.mark.parametrize("tokens", [-128, -1, 0, 127])
@pytest.mark.parametrize("score", [-2048, 0, 2047])
def test_constant_tokens(tokens: int, score: int) -> None:
    config = core(lanes=4, max_topk=16)
    rows = [np.full((k, 16), tokens) for k in (1, 2, 13, 16)]
    check(config, [Case(r, r, r, np.full(len(r), score), shift=4) for r in rows])


def test_extreme_values() -> None:
    config = core(lanes=4, max_topk=16)
    rng = np.random.default_rng(1)
    cases = []
    for shift in (0, 5, 7, 10):
        query, key, value = rng.choice([-128, 127], (3, 16, 16))
        cases.append(Case(query, key, value, rng.choice([-2048, 0, 2047], 16), shift))
        cases.append(Case(query, key, np.full((16, 16), -128), rng.integers(-20, 20, 16), shift + 6))
    assert any((np.abs(case.query @ case.key.T >> case.shift) > 2048).any() for case in cases)
    check(config, cases)


def test_hand_computed() -> None:
    value = np.array([[-128, 127, 3, 0], [-127, 127, -4, 1]])
    zeros = np.zeros((2, 4), dtype=np.int64)
    alone = Case(zeros[:1], zeros[:1], value[:1], np.array([-2048]), 0)
    equal = Case(zeros, zeros, value, np.array([100, 100]), 0)
    apart = Case(zeros, zeros, value, np.array([16, 0]), 0)  # weights 2 to 1, S = 6144: mant 192, r 170
    answers = [values for values, _ in run(core(4), [alone, equal, apart])]
    np.testing.assert_array_equal(answers[0], value[:1])
    np.testing.assert_array_equal(answers[1], [[-128, 127, -1, 0]] * 2)
    np.testing.assert_array_equal(
        answers[2], [[-383 * 170 // 512, 381 * 170 // 512, 340 // 512, 170 // 512]] * 2
    )


def test_reference_says_the_equations() -> None:
    """The attention equations of ARCHITECTURE.md, one number at a time; both saturations and all ends of EXP."""
    rng, topk = np.random.default_rng(2), 6
    for shift in (0, 4, 8, 12, 16):
        query, key, value = rng.integers(-128, 128, (3, topk, 8)).tolist()
        mask, sharpness = rng.integers(-2048, 2048, topk).tolist(), rng.integers(0, 256, topk).tolist()
        mixed = attend(*map(np.array, (query, key, value, mask, sharpness)), shift)
        for i in range(topk):
            z = []
            for j in range(topk):
                dot = sum(q * k for q, k in zip(query[i], key[j], strict=True)) >> shift
                sharpened = max(-2048, min(2047, dot)) * sharpness[i] >> 6
                z.append(max(-2048, min(2047, sharpened + mask[j])))
            distances = [max(z) - other for other in z]
            weights = [int(2**12 * 2 ** (-(d & 15) / 16) + 0.5) >> min(d >> 4, 15) for d in distances]
            total = sum(weights)
            e = total.bit_length() - 1
            reciprocal = 2**15 // ((total << 7) >> e)
            for feature in range(8):
                weighed = sum(p * value[j][feature] for j, p in enumerate(weights))
                assert mixed[i, feature] == max(-128, min(127, weighed * reciprocal >> e + 8))


def test_reference_approximates_softmax() -> None:
    case = random_case(core(16), 20, 4, shift=8, seed=3)
    dot = np.clip(case.query @ case.key.T >> case.shift, -2048, 2047)
    z = np.clip(dot + case.scores, -2048, 2047) / 16
    weights = np.exp2(z - z.max(axis=1, keepdims=True))
    exact = weights / weights.sum(axis=1, keepdims=True) @ case.value
    assert np.abs(case.expected - exact).max() < 2


@pytest.mark.parametrize(
    ("module", "table", "entry"),
    [(softmax, "EXP_TABLE", 3), (softmax, "EXP_TABLE", 12), (normalise, "RECIPROCAL_TABLE", 0)],
)
def test_wrong_table_entry_is_seen(monkeypatch: pytest.MonkeyPatch, module, table: str, entry: int) -> None:
    config = core(lanes=4)
    cases = [
        replace(random_case(config, k, 4, shift=12), scores=np.zeros(k, dtype=np.int64)) for k in (1, 16)
    ]
    entries = list(getattr(module, table))
    entries[entry] -= 64
    monkeypatch.setattr(module, table, tuple(entries))
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        check(config, cases)


def test_wrong_shift_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    config = core(lanes=4)
    monkeypatch.setitem(globals(), "attend", lambda *parts: attention.attend(*parts[:-1], parts[-1] + 1))
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        check(config, [random_case(config, 8, 2)])


@pytest.mark.parametrize("swapped", [("query", "key"), ("scores", "sharpness")])
def test_swapped_operands_are_seen(monkeypatch: pytest.MonkeyPatch, swapped: tuple[str, str]) -> None:
    config, rng = core(lanes=4), np.random.default_rng(4)
    case = replace(random_case(config, 8, 2, shift=9), scores=rng.integers(0, 256, 8))
    case = replace(case, sharpness=rng.integers(0, 256, 8))
    first, second = swapped
    other = replace(case, **{first: getattr(case, second), second: getattr(case, first)})
    monkeypatch.setattr(Case, "expected", other.expected)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        check(config, [case])


def test_a_writer_that_costs_nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    formula = attend_cycles
    monkeypatch.setitem(
        globals(), "attend_cycles", lambda config, fields, k: formula(config, {**fields, "to_tokens": 0}, k)
    )
    with pytest.raises(AssertionError):
        check(core(4), [random_case(core(4), 2, 1)], to_tokens=True)


def test_wrong_cycles_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "attend_cycles", lambda config, fields, topk: 41 + 1)
    with pytest.raises(AssertionError, match="41 == 42"):
        check(core(4), [random_case(core(4), 2, 1)])


@pytest.mark.parametrize("name", ["digits", "tiny"])
def test_named_core_converts(name: str) -> None:
    assert "module attention" in verilog.convert(AttentionUnit(NAMED_CONFIGS[name]), name="attention")


def test_one_similarity_and_one_mix_row_a_cycle() -> None:
    config = NAMED_CONFIGS["digits"]
    for topk in range(21, config.max_topk + 1):
        assert (
            attend_cycles(config, {"pitch": 2, "chunks": 2, "to_tokens": 0}, topk) <= 1.10 * topk * topk * 2
        )


def test_digits_core() -> None:
    config = NAMED_CONFIGS["digits"]
    check(config, [random_case(config, 64, 2, shift=8), random_case(config, 33, 4, shift=7)])


@pytest.mark.parametrize("lanes", [2, 4])
@pytest.mark.parametrize("topk", [1, 2, 3])
def test_short_heads_one_after_the_other(lanes: int, topk: int) -> None:
    config = core(lanes)
    cases = [
        replace(random_case(config, topk, chunks, seed=chunks), head=head * lanes)
        for chunks in (1, 3, 4)
        for head in range(1, chunks + 1)
    ]
    check(config, cases)
