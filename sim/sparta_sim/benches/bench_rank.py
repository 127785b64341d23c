"""Bench of the rank unit: groups, scores, K, winners and masks equal the interpreter's."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparta_hw.descriptor import MlpSet, Op, RankBy, encode
from sparta_hw.interpreter.selection import (
    centre_surround,
    dynamic_k,
    fuse_scores,
    grouped,
    patch_group,
    rank_tokens,
    token_priority,
)
from sparta_hw.ir import CentreSurround, DynamicK, FuseScores, TokenMLP, TokenPriority
from sparta_rtl.layouts import mask_layout
from sparta_sim.benches.records import any_value, mlp_rows, random_mlp, random_records, record_rows
from sparta_sim.benches.streams import Bench, EventLog, ReadMemory, bits_of, unit_test
from sparta_sim.cycles.selection import rank_cycles

IntArray = NDArray[np.int64]


@dataclass
class _Scene:
    """Grid records, gains of the tokens, tables and MLPs of one inference."""

    height: int
    width: int
    records: dict[str, IntArray]
    gains: IntArray
    temperature: IntArray
    topk: IntArray
    mlps: dict[MlpSet, TokenMLP]

    def shifts(self, mlp: MlpSet, prefix: str = "") -> dict[str, int]:
        """Descriptor fields of one MLP."""
        chosen = self.mlps[mlp]
        return {
            f"{prefix}hidden_shift": chosen.hidden_shift,
            f"{prefix}shift": chosen.shift,
            f"{prefix}bias": chosen.bias,
        }


async def _scene(bench: Bench, rng: np.random.Generator, tokens: int, high: int) -> _Scene:
    """A random scene in the memories of the unit."""
    config = bench.config
    height = int(rng.integers(1, config.max_tokens + 1))
    width = int(rng.integers(1, config.max_tokens // height + 1))
    scene = _Scene(
        height,
        width,
        random_records(rng, height * width, high),
        rng.integers(0, 256, config.max_tokens),
        rng.integers(0, 256, 128),
        rng.integers(1, tokens + 1, 256),
        {name: random_mlp(rng) for name in MlpSet},
    )
    sharpness = np.concatenate([scene.temperature, np.zeros(128, np.int64)])
    await bench.write("factors", (scene.topk << 16 | sharpness << 8 | rng.integers(0, 256, 256)).tolist())
    await bench.write("mlp", [row for name in MlpSet for row in mlp_rows(scene.mlps[name])])
    return scene


async def _execute(
    bench: Bench, fields: dict[str, int], request: int
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Score and select events of one descriptor; checks its cycles."""
    dut = bench.dut
    dut.layer.value = encode(Op.RANK, "bench", **fields)
    scored = EventLog(bench, dut.score_valid, dut.score_token, dut.score_value, dut.score_spatial)
    listed = EventLog(bench, dut.select_valid, dut.select_rank, dut.select_token)
    cycles = await bench.execute()
    assert cycles == rank_cycles(bench.config, fields, int(dut.topk.value), request)
    scored.stop()
    listed.stop()
    return scored.events, listed.events


def _events(bench: Bench, scores: IntArray, spatial: IntArray) -> list[tuple[int, ...]]:
    mask = (1 << bench.config.score_bits) - 1
    return [(i, int(s) & mask, int(c) & mask) for i, (s, c) in enumerate(zip(scores, spatial, strict=True))]


async def _inference(bench: Bench, rng: np.random.Generator, high: int) -> None:
    """Grouping, ranking for STSG, ranking by priority; each perhaps."""
    dut, config = bench.dut, bench.config
    tokens, request = int(rng.integers(1, config.max_tokens + 1)), int(rng.choice([0, 0, 1, 5, 1000]))
    scene = await _scene(bench, rng, tokens, high)
    grid = scene.height * scene.width
    records = ReadMemory(bench, "records", record_rows(config, scene.records, scene.width))
    gains = ReadMemory(bench, "gains", scene.gains.tolist())
    dut.topk_request.value, dut.begin.value = request, 1
    await bench.tick()
    dut.begin.value = 0

    group: IntArray | None = None
    groups = config.topk == "sorter" and min(grid, tokens) <= config.max_topk
    if groups and rng.random() < 0.5:
        group = patch_group(scene.records["rate"][None], tokens)
        fields = {"by": RankBy.RATE, "tokens": grid, "groups": tokens, "width": scene.width}
        scored, listed = await _execute(bench, fields, request)
        assert not scored
        assert listed == list(enumerate(group[0].tolist()))
        assert await bench.read("group", tokens) == group[0].tolist()
    else:
        tokens = grid
        scene.topk[:] = np.minimum(scene.topk, tokens)
        await bench.write("factors", (scene.topk << 16 | np.resize(scene.temperature, 256) << 8).tolist())
    values = {name: grouped(column[None], group) for name, column in scene.records.items()}

    common = {"tokens": tokens, "grouped": int(group is not None), "width": scene.width}
    common |= {"temperature": int(rng.integers(2))}
    topk = await _winners(bench, rng, scene, values, group, common, request)
    priority = TokenPriority(
        node="",
        output=any_value("priority", tokens),
        first=any_value("first", grid),
        interval=any_value("interval", grid),
        rate=any_value("rate", grid),
        gain=any_value("gain", tokens),
        group=None,
        mlp=scene.mlps[MlpSet.PRIORITY],
    )
    if rng.random() < 0.5:
        cues = (values["first"], values["interval"], values["rate"], scene.gains[None, :tokens])
        score = token_priority(priority, *cues)
        fields = common | {"by": RankBy.PRIORITY} | scene.shifts(MlpSet.PRIORITY)
        scored, listed = await _execute(bench, fields, request)
        assert scored == _events(bench, score[0], np.zeros(tokens, np.int64))
        await _expect_list(bench, scene, values, listed, rank_tokens(score)[0, :topk], common)
    records.stop()
    gains.stop()


async def _winners(
    bench: Bench,
    rng: np.random.Generator,
    scene: _Scene,
    values: dict[str, IntArray],
    group: IntArray | None,
    common: dict[str, int],
    request: int,
) -> int:
    """The ranking that chooses K; returns K."""
    dut, tokens, grid = bench.dut, common["tokens"], scene.height * scene.width
    by, spatial, dynamic = rng.choice([RankBy.MSP, RankBy.FUSION]), int(rng.integers(2)), int(rng.integers(2))
    inhibition = int(rng.integers(0, 128))
    name = any_value("any", grid)
    surround = CentreSurround(
        node="",
        output=name,
        rate=name,
        group=None,
        height=scene.height,
        width=scene.width,
        inhibition=inhibition,
    )
    fusion = FuseScores(
        node="",
        output=name,
        spatial=name,
        msp=name,
        temporal=name,
        group=None,
        mlp=scene.mlps[MlpSet.FUSION] if by == RankBy.FUSION else None,
    )
    use_spatial = spatial and by == RankBy.FUSION
    competed = centre_surround(surround, scene.records["rate"][None], group) if use_spatial else None
    score = fuse_scores(fusion, competed, values["msp"], values["temporal"])
    sparsity = DynamicK(
        node="",
        output=name,
        first=name,
        interval=name,
        rate=name,
        group=None,
        mlp=scene.mlps[MlpSet.SPARSITY],
        table=scene.topk,
    )
    wanted = request
    if dynamic and request == 0:
        wanted = int(dynamic_k(sparsity, values["first"], values["interval"], values["rate"])[0, 0])
    topk = max(1, min(wanted, tokens, bench.config.max_topk))

    fields = common | {"by": int(by), "spatial": spatial, "inhibition": inhibition, "dynamic": dynamic}
    fields |= scene.shifts(MlpSet.FUSION) | scene.shifts(MlpSet.SPARSITY, "sparsity_")
    scored, listed = await _execute(bench, fields, request)
    competed = np.zeros((1, tokens), np.int64) if competed is None else competed
    assert scored == _events(bench, score[0], competed[0])
    index = rank_tokens(score)[0, :topk]
    assert int(dut.topk.value) == topk
    assert int(dut.topk_clamped.value) == (wanted != topk and not (dynamic and request == 0))
    assert int(dut.selected.value) == sum(1 << int(token) for token in index)
    await _expect_list(bench, scene, values, listed, index, common)
    return topk


async def _expect_list(
    bench: Bench,
    scene: _Scene,
    values: dict[str, IntArray],
    listed: list[tuple[int, ...]],
    index: IntArray,
    common: dict[str, int],
) -> None:
    """Fail unless the token list and the masks are those of ``index``, in the order of the selection unit."""
    index = index if bench.config.topk == "sorter" else np.sort(index)
    sharp = scene.temperature[(values["temporal"][0, index] >> 5) + 64]
    sharp = sharp if common["temperature"] else np.full(len(index), 64)
    layout = mask_layout(bench.config)
    pairs = zip(values["msp"][0, index].tolist(), sharp.tolist(), strict=True)
    expected = [bits_of(layout, {"mask": mask, "sharpness": sharpness}) for mask, sharpness in pairs]
    assert listed == list(enumerate(index.tolist()))
    assert await bench.read("tokens", len(index)) == index.tolist()
    assert await bench.read("masks", len(index)) == expected


@unit_test
async def lists_equal_interpreter(dut: Any, stall: float) -> None:
    """The unit has no stream with backpressure: ``stall`` only seeds other cases."""
    bench = await Bench.begin(dut, stall)
    rng = np.random.default_rng(bench.rng.getrandbits(32))
    for high in (2047, 1):  # the full range, and many equal scores
        for _ in range(25):
            await _inference(bench, rng, high)
