import random
from dataclasses import dataclass, field, replace

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_hw.descriptor import MlpSet, Op, RankBy
from sparta_rtl import rank, spatial
from sparta_rtl.layouts import descriptor_layout, mask_layout, record_layout
from sparta_rtl.rank import RankUnit
from sparta_rtl.topk_sorter import TopKSorter
from sparta_rtl.topk_units import topk_params
from sparta_sim.cycles.selection import rank_cycles
from tests.rtl.rank_reference import Ranking, Scene, random_scene, with_topk_table


def core(max_tokens: int = 16, max_topk: int = 16, topk: str = "sorter") -> CoreConfig:
    sizes = {"max_tokens": max_tokens, "max_topk": max_topk}
    return CoreConfig(name="test", lanes=4, line=4, steps=8, topk=topk, **sizes)


@dataclass
class Result:
    """What the unit did with one ranking."""

    cycles: int = 0
    topk: int = 0
    clamped: int = 0
    scores: list[tuple[int, int, int]] = field(default_factory=list)
    listed: list[tuple[int, int]] = field(default_factory=list)
    group: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    masks: list[tuple[int, int]] = field(default_factory=list)
    selected: int = 0


async def _write(ctx, port, rows: list[int]) -> None:
    ctx.set(port.en, 1)
    for address, row in enumerate(rows):
        ctx.set(port.addr, address)
        ctx.set(port.data, row)
        await ctx.tick()
    ctx.set(port.en, 0)


async def _read(ctx, port, count: int) -> list[int]:
    rows = []
    ctx.set(port.en, 1)
    for address in range(count):
        ctx.set(port.addr, address)
        await ctx.tick()
        rows.append(ctx.get(port.data))
    ctx.set(port.en, 0)
    return rows


def run(config: CoreConfig, scenes: list[tuple[Scene, list[Ranking], int]]) -> list[list[Result]]:
    """Results of the rankings of each inference: (scene, rankings, requested K)."""
    dut, results = RankUnit(config), []
    layout, masks = record_layout(config), mask_layout(config)
    garbage = random.Random(1)
    content: dict[str, list[int]] = {"records": [], "gains": []}

    def memory(name: str):
        port = getattr(dut, name)

        async def answer(ctx):
            async for _, _, en, addr in ctx.tick().sample(port.en, port.addr):
                if en:
                    rows = content[name]
                    ctx.set(
                        port.data, rows[addr] if addr < len(rows) else garbage.getrandbits(len(port.data))
                    )

        return answer

    async def execute(ctx, scene: Scene, ranking: Ranking) -> Result:
        result, done = Result(), False
        ctx.set(dut.layer, descriptor_layout(Op.RANK).const(ranking.fields(scene)))
        ctx.set(dut.start, 1)
        while not done:
            _, _, done, scored, token, value, spatial_value, listed, at, winner = await ctx.tick().sample(
                dut.done,
                dut.score_valid,
                dut.score_token,
                dut.score_value,
                dut.score_spatial,
                dut.select_valid,
                dut.select_rank,
                dut.select_token,
            )
            ctx.set(dut.start, 0)
            if scored:
                result.scores.append((token, value, spatial_value))
            if listed:
                result.listed.append((at, winner))
            result.cycles += not done
            assert result.cycles < 5000, "the unit does not finish"
        result.topk, result.clamped = ctx.get(dut.topk), ctx.get(dut.topk_clamped)
        result.selected = ctx.get(dut.selected)
        result.group = await _read(ctx, dut.group, config.max_tokens)
        if ranking.by is not RankBy.RATE:
            result.tokens = await _read(ctx, dut.tokens, result.topk)
            rows = [masks.from_bits(row) for row in await _read(ctx, dut.masks, result.topk)]
            result.masks = [(row.mask, row.sharpness) for row in rows]
        return result

    async def bench(ctx):
        for scene, rankings, request in scenes:
            content["records"] = [layout.const(record).as_bits() for record in scene.records]
            content["gains"] = scene.gains
            await _write(ctx, dut.factors, scene.factor_rows())
            await _write(ctx, dut.mlp, scene.mlp_rows())
            ctx.set(dut.topk_request, request)
            ctx.set(dut.begin, 1)
            await ctx.tick()
            ctx.set(dut.begin, 0)
            results.append([await execute(ctx, scene, ranking) for ranking in rankings])

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for name in content:
        sim.add_testbench(memory(name), background=True)
    sim.add_testbench(bench)
    sim.run()
    return results


def check(config: CoreConfig, scenes: list[tuple[Scene, list[Ranking], int]]) -> None:
    """Run them, and compare everything with the reference."""
    for (scene, rankings, request), results in zip(scenes, run(config, scenes), strict=True):
        group, topk, clamped, selected = list(range(config.max_tokens)), 0, False, 0
        for ranking, result in zip(rankings, results, strict=True):
            if ranking.by is RankBy.RATE:
                group = ranking.group_list(scene)
                assert result.listed == list(enumerate(group))
                assert result.group[: len(group)] == group
                assert not result.scores
            else:
                here = group if ranking.grouped else list(range(config.max_tokens))
                scores = ranking.scores(scene, here)
                if ranking.by is not RankBy.PRIORITY:
                    topk, clamped = ranking.choose(scene, here, request, config.max_topk)
                index = sorted(range(len(scores)), key=lambda i: (-scores[i][0], i))[:topk]
                index = sorted(index) if config.topk == "radix" else index
                assert result.scores == [(i, *score) for i, score in enumerate(scores)]
                assert result.listed == list(enumerate(index))
                assert (result.topk, result.clamped) == (topk, clamped)
                assert result.tokens == index
                assert result.masks == ranking.masks(scene, here, index)
                if ranking.by is not RankBy.PRIORITY:
                    selected = sum(1 << i for i in index)
                assert result.selected == selected
            assert result.cycles == rank_cycles(config, ranking.fields(scene), topk, request)


def random_inference(
    rng: random.Random, config: CoreConfig, *, ties: bool = False, extreme: bool = False
) -> tuple[Scene, list[Ranking], int]:
    """A grid, perhaps grouped, ranked once or twice, with any K."""
    most = config.max_tokens
    height = rng.choice([1, rng.randint(1, most), rng.randint(1, min(4, most))])
    width = rng.randint(1, most // height)
    grid, rankings = height * width, []
    tokens, grouped = grid, rng.randint(0, 1) if config.topk == "sorter" else 0
    if grouped:
        tokens = rng.choice([rng.randint(1, most), most, 1])
        grouped = min(grid, tokens) <= config.max_topk
        tokens = tokens if grouped else grid
    if grouped:
        rankings.append(Ranking(RankBy.RATE, grid, groups=tokens))
    common = {"tokens": tokens, "grouped": int(grouped), "temperature": rng.randint(0, 1)}
    by = rng.choice([RankBy.MSP, RankBy.FUSION, RankBy.FUSION])
    rankings.append(
        Ranking(
            by,
            **common,
            spatial=rng.randint(0, 1),
            inhibition=rng.choice([0, 127, rng.randint(0, 127)]),
            dynamic=rng.randint(0, 1),
        )
    )
    if rng.randint(0, 1):
        rankings.append(Ranking(RankBy.PRIORITY, **common))
    request = rng.choice([0, 0, 1, tokens, rng.randint(1, most), 0xFFFF])
    return random_scene(rng, height, width, tokens, ties=ties, extreme=extreme), rankings, request


@pytest.mark.parametrize(("max_tokens", "max_topk"), [(16, 16), (30, 5), (2, 2), (9, 1)])
@pytest.mark.parametrize("kind", ["wide", "ties", "extreme"])
@pytest.mark.parametrize("topk", ["sorter", "radix"])
def test_rankings(topk: str, kind: str, max_tokens: int, max_topk: int) -> None:
    rng, config = random.Random(f"{kind} {max_tokens}"), core(max_tokens, max_topk, topk)
    options = {"ties": kind == "ties", "extreme": kind == "extreme"}
    check(config, [random_inference(rng, config, **options) for _ in range(20)])


def test_every_k() -> None:
    rng, config = random.Random(3), core(12, 7)
    scene = random_scene(rng, 3, 4, 12)
    ranking = Ranking(RankBy.MSP, 12, temperature=1)
    check(config, [(scene, [ranking], request) for request in range(14)])


@pytest.mark.parametrize("entry", [1, 4, 5, 12, 0xFFFF])
def test_a_dynamic_k_is_limited_and_not_called_clamped(entry: int) -> None:
    rng, config = random.Random(entry), core(12, 5)
    scene = with_topk_table(random_scene(rng, 3, 4, 12), entry)
    check(config, [(scene, [Ranking(RankBy.FUSION, 12, dynamic=1), Ranking(RankBy.PRIORITY, 12)], 0)])


@pytest.mark.parametrize(("height", "width"), [(1, 16), (16, 1), (4, 4), (2, 3), (1, 1)])
def test_edges_of_the_grid(height: int, width: int) -> None:
    rng, config = random.Random(height), core()
    scene = random_scene(rng, height, width, height * width)
    for inhibition in (0, 64, 127):
        ranking = Ranking(RankBy.FUSION, height * width, spatial=1, inhibition=inhibition)
        check(config, [(scene, [ranking], 1)])


@pytest.mark.parametrize(("grid", "groups"), [(1, 16), (3, 16), (5, 10), (16, 16), (16, 3), (4, 5)])
def test_groups_repeat_the_best_grid_tokens(grid: int, groups: int) -> None:
    rng, config = random.Random(grid), core()
    scene = random_scene(rng, 1, grid, groups)
    later = Ranking(RankBy.MSP, groups, grouped=1)
    check(config, [(scene, [Ranking(RankBy.RATE, grid, groups=groups), later], groups)])


def test_clamped_stays_until_the_next_inference() -> None:
    rng, config = random.Random(0), core(8, 8)
    scene = random_scene(rng, 2, 4, 8)
    rankings = [Ranking(RankBy.MSP, 8), Ranking(RankBy.PRIORITY, 8)]
    (first, second), (third, _) = run(config, [(scene, rankings, 9), (scene, rankings, 8)])
    assert (first.clamped, second.clamped, third.clamped) == (1, 1, 0)


def test_a_sorter_with_narrow_keys_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank, "topk_unit", lambda core: TopKSorter(replace(topk_params(core), key_bits=4)))
    config = core(8, 8)
    with pytest.raises(AssertionError):
        check(config, [(random_scene(random.Random(0), 2, 4, 8), [Ranking(RankBy.MSP, 8)], 8)])


def test_weights_of_another_set_are_caught() -> None:
    scene = random_scene(random.Random(0), 2, 4, 8)
    sets = scene.mlps
    swapped = {**sets, MlpSet.FUSION: sets[MlpSet.SPARSITY], MlpSet.SPARSITY: sets[MlpSet.FUSION]}
    ranking = Ranking(RankBy.FUSION, 8)
    (result,) = run(core(8, 8), [(replace(scene, mlps=swapped), [ranking], 8)])[0]
    expected = [score for score, _ in ranking.scores(scene, list(range(8)))]
    assert [score for _, score, _ in result.scores] != expected


def test_neighbours_in_the_wrong_order_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spatial, "NEIGHBOURS", spatial.NEIGHBOURS[::-1])
    scene = random_scene(random.Random(0), 2, 4, 8)
    with pytest.raises(AssertionError):
        check(core(8, 8), [(scene, [Ranking(RankBy.FUSION, 8, spatial=1, inhibition=64)], 8)])


def test_a_cycle_too_few_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank, "SPATIAL_PERIOD", 10)
    scene = random_scene(random.Random(0), 2, 4, 8)
    with pytest.raises(AssertionError):
        check(core(8, 8), [(scene, [Ranking(RankBy.FUSION, 8, spatial=1)], 8)])


@pytest.mark.parametrize("name", NAMED_CONFIGS)
def test_converts_to_verilog(name: str) -> None:
    assert "module top" in verilog.convert(RankUnit(NAMED_CONFIGS[name]))
