"""The rankings as ARCHITECTURE.md defines them, token by token in plain integers."""

import random
from dataclasses import dataclass, replace
from math import isqrt

from sparta_hw.descriptor import MlpSet, RankBy

__all__ = ["MlpWeights", "Ranking", "Scene", "grid_edges", "random_mlp", "random_scene"]


@dataclass(frozen=True)
class MlpWeights:
    """One set: ``w`` (8, 3), ``b`` (8), ``v`` (8), and what the descriptor holds of it."""

    w: list[list[int]]
    b: list[int]
    v: list[int]
    hidden_shift: int
    c: int
    shift: int

    def __call__(self, *x: int) -> int:
        total = self.c
        for w, b, v in zip(self.w, self.b, self.v, strict=True):
            hidden = (sum(a * y for a, y in zip(w, x, strict=True)) + b) >> self.hidden_shift
            total += v * max(0, min(2047, hidden))
        return saturate(total >> self.shift)

    def rows(self) -> list[int]:
        """The eight rows of the MLP memory."""
        rows = []
        for w, b, v in zip(self.w, self.b, self.v, strict=True):
            fields = [*((value, 8) for value in (*w, v)), (b, 24)]
            word = position = 0
            for value, bits in fields:
                word |= (value & (1 << bits) - 1) << position
                position += bits
            rows.append(word)
        return rows


def saturate(value: int) -> int:
    return max(-2048, min(2047, value))


def grid_edges(token: int, height: int, width: int) -> dict[str, int]:
    row, column = divmod(token, width)
    return {
        "top": int(row == 0),
        "bottom": int(row == height - 1),
        "left": int(column == 0),
        "right": int(column == width - 1),
    }


@dataclass(frozen=True)
class Scene:
    """Everything a ranking depends on: a grid of records, gains of tokens, tables, MLPs."""

    height: int
    width: int
    records: list[dict[str, int]]
    gains: list[int]
    factors: list[tuple[int, int, int]]
    """TIMING, TEMPERATURE, K_TABLE."""
    mlps: dict[MlpSet, MlpWeights]

    def factor_rows(self) -> list[int]:
        return [timing | temperature << 8 | topk << 16 for timing, temperature, topk in self.factors]

    def mlp_rows(self) -> list[int]:
        return [row for name in MlpSet for row in self.mlps[name].rows()]


@dataclass(frozen=True)
class Ranking:
    """One RANK descriptor's choices, and what should come of it."""

    by: RankBy
    tokens: int
    groups: int = 0
    grouped: int = 0
    spatial: int = 0
    inhibition: int = 0
    dynamic: int = 0
    temperature: int = 0

    def fields(self, scene: Scene) -> dict[str, int]:
        """Fields of the descriptor."""
        mlp = scene.mlps[MlpSet.PRIORITY if self.by is RankBy.PRIORITY else MlpSet.FUSION]
        sparsity = scene.mlps[MlpSet.SPARSITY]
        return {
            **self.__dict__,
            "width": scene.width,
            "hidden_shift": mlp.hidden_shift,
            "shift": mlp.shift,
            "bias": mlp.c,
            "sparsity_hidden_shift": sparsity.hidden_shift,
            "sparsity_shift": sparsity.shift,
            "sparsity_bias": sparsity.c,
        }

    def group_list(self, scene: Scene) -> list[int]:
        """RATE: grid token of each of ``groups`` tokens."""
        rates = [scene.records[p]["rate"] for p in range(self.tokens)]
        order = sorted(range(self.tokens), key=lambda p: (-rates[p], p))
        return [order[i % min(self.tokens, self.groups)] for i in range(self.groups)]

    def spatial_score(self, scene: Scene, p: int) -> int:
        row, column = divmod(p, scene.width)
        around = sum(
            scene.records[y * scene.width + x]["rate"]
            for y in range(max(row - 1, 0), min(row + 2, scene.height))
            for x in range(max(column - 1, 0), min(column + 2, scene.width))
            if (y, x) != (row, column)
        )
        return saturate(((scene.records[p]["rate"] << 9) - self.inhibition * around) >> 9)

    def scores(self, scene: Scene, group: list[int]) -> list[tuple[int, int]]:
        """(score, spatial score) of each token."""
        result = []
        for i, p in enumerate(group[: self.tokens]):
            record, spatial = scene.records[p], 0
            if self.by is RankBy.MSP:
                score = record["msp"]
            elif self.by is RankBy.FUSION:
                spatial = self.spatial_score(scene, p) if self.spatial else 0
                score = scene.mlps[MlpSet.FUSION](spatial, record["msp"], record["temporal"])
            else:
                gated = min(record["rate"] * scene.gains[i] >> 6, 2047)
                score = scene.mlps[MlpSet.PRIORITY](record["first"], record["interval"], gated)
            result.append((score, spatial))
        return result

    def dynamic_k(self, scene: Scene, group: list[int]) -> int:
        """K_TABLE's answer."""
        cues = [scene.records[p] for p in group[: self.tokens]]
        n, first = len(cues), [cue["first"] for cue in cues]
        deviation = isqrt(n * sum(x * x for x in first) - sum(first) ** 2) // n
        means = [sum(cue[name] for cue in cues) // n for name in ("rate", "interval")]
        y = scene.mlps[MlpSet.SPARSITY](means[0], deviation, means[1])
        return scene.factors[(y >> 4) + 128][2]

    def choose(self, scene: Scene, group: list[int], request: int, max_topk: int) -> tuple[int, bool]:
        """K, and whether a request was not K."""
        limit = min(self.tokens, max_topk)
        if request == 0 and self.dynamic:
            return min(self.dynamic_k(scene, group), limit), False
        topk = max(1, min(request, limit))
        return topk, topk != request

    def masks(self, scene: Scene, group: list[int], index: list[int]) -> list[tuple[int, int]]:
        """(mask, sharpness) of each rank."""
        records = [scene.records[group[i]] for i in index]
        sharp = [scene.factors[(record["temporal"] >> 5) + 64][1] for record in records]
        return [
            (record["msp"], s if self.temperature else 64) for record, s in zip(records, sharp, strict=True)
        ]


def random_mlp(rng: random.Random, *, extreme: bool = False) -> MlpWeights:
    """Weights whose outputs are spread over s12, or all weights at the ends of their ranges and random shifts."""

    def weight() -> int:
        return rng.choice([-128, 127]) if extreme else rng.randint(-128, 127)

    def bias() -> int:
        return rng.choice([-(1 << 23), (1 << 23) - 1, 0]) if extreme else rng.randint(-(1 << 15), 1 << 15)

    return MlpWeights(
        w=[[weight() for _ in range(3)] for _ in range(8)],
        b=[bias() for _ in range(8)],
        v=[weight() for _ in range(8)],
        hidden_shift=rng.choice([0, 31, 13, 12]) if extreme else rng.randint(6, 9),
        c=bias(),
        shift=rng.choice([0, 31, 12]) if extreme else rng.randint(6, 9),
    )


def random_scene(
    rng: random.Random, height: int, width: int, tokens: int, *, ties: bool = False, extreme: bool = False
) -> Scene:
    """Records over their whole ranges, or nearly equal ones; ``extreme``: at the ends of the ranges."""

    def number(low: int, high: int) -> int:
        if extreme:
            return rng.choice([low, high])
        return rng.randint(max(low, -1), 1) if ties else rng.randint(low, high)

    records = []
    for p in range(height * width):
        cues = {name: number(0, 2047) for name in ("first", "interval", "rate")}
        scores = {name: number(-2048, 2047) for name in ("msp", "temporal")}
        records.append({**scores, **cues, "cell": p // 2, **grid_edges(p, height, width)})
    topk = [rng.randint(1, tokens) for _ in range(256)]
    return Scene(
        height=height,
        width=width,
        records=records,
        gains=[rng.randint(0, 255) for _ in range(tokens)],
        factors=[(rng.randint(0, 255), rng.randint(0, 255), k) for k in topk],
        mlps={name: random_mlp(rng, extreme=extreme) for name in MlpSet},
    )


def with_topk_table(scene: Scene, topk: int) -> Scene:
    """The scene with one K in all of K_TABLE."""
    return replace(scene, factors=[(timing, temperature, topk) for timing, temperature, _ in scene.factors])
