import random

import pytest
from amaranth.sim import Simulator

from sparta_rtl import topk_radix, topk_sorter
from sparta_rtl.topk import TopKParams, TopKUnit
from sparta_rtl.topk_radix import TopKRadix
from sparta_rtl.topk_rows import LANES
from sparta_rtl.topk_sorter import TopKSorter

UNITS = [TopKSorter, TopKRadix]


def expected(dut: TopKUnit, keys: list[int], count: int) -> list[int]:
    best = dut.params.compute(keys, count)
    return sorted(best) if isinstance(dut, TopKRadix) else best


def run(
    dut: TopKUnit,
    searches: list[tuple[list[int], int]],
    stall: float = 0.0,
    wait: bool = False,
    clear: bool = True,
    repeats: int = 1,
) -> list[list[int]]:
    """Selected indices of one search after the other; the first one in exactly ``first_cycles`` after ``emit``."""
    rng, results = random.Random(5), []

    async def listing(ctx, tokens: int, count: int) -> list[int]:
        listed = []
        for _ in range(dut.first_cycles(dut.params, tokens, count) - 1):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        for rank in range(count):
            assert ctx.get(dut.o.valid)
            assert ctx.get(dut.o.payload.rank) == rank
            assert ctx.get(dut.o.payload.last) == (rank == count - 1)
            listed.append(ctx.get(dut.o.payload.index))
            await ctx.tick()
        assert not ctx.get(dut.o.valid)
        return listed

    async def bench(ctx):
        for keys, count in searches:
            ctx.set(dut.clear, clear)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            for index, key in enumerate(keys):
                while rng.random() < stall:
                    await ctx.tick()
                ctx.set(dut.i.payload, key)
                ctx.set(dut.i.valid, 1)
                last = index == len(keys) - 1
                ctx.set(dut.emit, last and not wait)
                ctx.set(dut.count, count if last else rng.randrange(dut.params.cells + 1))
                await ctx.tick()
                ctx.set(dut.i.valid, 0)
                ctx.set(dut.emit, 0)
            if wait:
                await ctx.tick().repeat(rng.randint(1, 4))
            for again in range(repeats):
                if wait or again:
                    ctx.set(dut.emit, 1)
                    await ctx.tick()
                    ctx.set(dut.emit, 0)
                results.append(await listing(ctx, len(keys), count))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return results


def random_searches(params: TopKParams, tokens: int, seed: int) -> list[tuple[list[int], int]]:
    """Wide, narrow (many ties), equal, rising and falling keys, and every kind of K."""
    rng = random.Random(seed)
    low, high = -(1 << params.key_bits - 1), (1 << params.key_bits - 1) - 1
    lists = [[rng.randint(low, high) for _ in range(tokens)] for _ in range(6)]
    lists += [[rng.randint(-1, 1) for _ in range(tokens)] for _ in range(12)]
    lists += [[low] * tokens, [high] * tokens, [0] * tokens]
    lists += [sorted(lists[0]), sorted(lists[0])[::-1], sorted(lists[6]), sorted(lists[7])[::-1]]
    lists += [lists[0][: max(tokens // 2, 1)], lists[6][:1]]
    counts = [1, tokens, *(rng.randint(1, tokens) for _ in lists[2:])]
    most = min(params.cells, tokens)
    return [(keys, min(count, most, len(keys))) for keys, count in zip(lists, counts, strict=True)]


def check(dut: TopKUnit, searches: list[tuple[list[int], int]], **how) -> None:
    assert run(dut, searches, **how) == [expected(dut, *search) for search in searches]


SIZES = [(1, 1), (1, 9), (2, 7), (5, 16), (16, 16), (8, 24), (19, 21)]
"""Cells and tokens."""


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize(("cells", "tokens"), SIZES)
@pytest.mark.parametrize("unit", UNITS)
def test_selection_equals_reference(
    unit: type[TopKUnit], cells: int, tokens: int, wait: bool, stall: float
) -> None:
    params = TopKParams(tokens=tokens, cells=cells, key_bits=6)
    check(unit(params), random_searches(params, tokens, seed=cells * tokens), stall=stall, wait=wait)


@pytest.mark.parametrize("key_bits", [2, 3, 5, 12])
@pytest.mark.parametrize("unit", UNITS)
def test_keys_of_any_width(unit: type[TopKUnit], key_bits: int) -> None:
    params = TopKParams(tokens=20, cells=11, key_bits=key_bits)
    check(unit(params), random_searches(params, 20, seed=key_bits))


@pytest.mark.parametrize("unit", UNITS)
def test_every_k_of_few_distinct_keys(unit: type[TopKUnit]) -> None:
    rng = random.Random(1)
    params = TopKParams(tokens=13, cells=13, key_bits=4)
    lists = [[rng.choice([-8, 0, 1, 7]) for _ in range(tokens)] for tokens in (13, 12, 9, 4)]
    check(unit(params), [(keys, k) for keys in lists for k in range(1, len(keys) + 1)])


@pytest.mark.parametrize("unit", UNITS)
def test_results_can_be_had_again(unit: type[TopKUnit]) -> None:
    params = TopKParams(tokens=9, cells=6, key_bits=4)
    keys = [3, -2, 3, 3, 7, 0, -8, 3, 1]
    dut = unit(params)
    assert run(dut, [(keys, 4), (keys[::-1], 2)], repeats=2) == [
        *[expected(dut, keys, 4)] * 2,
        *[expected(dut, keys[::-1], 2)] * 2,
    ]


@pytest.mark.parametrize("count", [1, 192])
@pytest.mark.parametrize("unit", UNITS)
def test_256_tokens(unit: type[TopKUnit], count: int) -> None:
    params = TopKParams(tokens=256, cells=192, key_bits=12)
    rng = random.Random(count)
    check(unit(params), [([rng.randint(-40, 40) for _ in range(256)], count)])


def test_cycles_of_256_tokens() -> None:
    """From the first token to the last index: at most 2 N by radix, for any K up to 192."""
    params = TopKParams(tokens=256, cells=192, key_bits=12)
    last = {unit: [256 + unit.first_cycles(params, 256, k) + k - 1 for k in (1, 89, 192)] for unit in UNITS}
    assert last == {TopKSorter: [260, 348, 451], TopKRadix: [351, 417, 495]}
    rows = [(256 - k) // LANES for k in (1, 89, 192)]
    assert last[TopKRadix] == [
        256 + 4 * 6 + 8 + row + k - 1 for row, k in zip(rows, (1, 89, 192), strict=True)
    ]


def test_all_ranks_are_there_two_cycles_after_the_last_token() -> None:
    params = TopKParams(tokens=256, cells=192, key_bits=12)
    rng, dut, seen = random.Random(0), TopKSorter(params), []
    keys = [*(rng.randint(-100, 100) for _ in range(255)), 101]

    async def bench(ctx):
        for key in keys:
            ctx.set(dut.i.payload, key)
            ctx.set(dut.i.valid, 1)
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        for _ in range(2):
            seen.append([ctx.get(dut.ranked[rank]) for rank in range(192)])
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert [ranked == params.compute(keys, 192) for ranked in seen] == [False, True]


def test_reference_breaks_ties_by_lower_index() -> None:
    params = TopKParams(tokens=6, cells=4, key_bits=8)
    assert params.compute([3, 7, 7, -1, 7, 3], 4) == [1, 2, 4, 0]


@pytest.mark.parametrize("unit", UNITS)
def test_tokens_of_an_earlier_search_are_caught(unit: type[TopKUnit]) -> None:
    params = TopKParams(tokens=8, cells=3, key_bits=4)
    searches = [([7, 6, 5, 0], 2), ([1, 2, 3, 2], 2)]
    check(unit(params), searches)
    with pytest.raises(AssertionError):
        check(unit(params), searches, clear=False)


@pytest.mark.parametrize(("unit", "module"), [(TopKSorter, topk_sorter), (TopKRadix, topk_radix)])
def test_an_unsigned_comparison_is_caught(
    unit: type[TopKUnit], module: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "offset_binary", lambda key: key.as_unsigned())
    with pytest.raises(AssertionError):
        check(unit(TopKParams(tokens=3, cells=3, key_bits=4)), [([-1, 2, 3], 2)])


@pytest.mark.parametrize("count", [0, 4, 3])
def test_reference_rejects_bad_counts(count: int) -> None:
    with pytest.raises(ValueError, match=f"K must be 1 to 2, not {count}"):
        TopKParams(tokens=3, cells=3, key_bits=4).compute([1, 2], count)


@pytest.mark.parametrize(("field", "value"), [("tokens", 0), ("cells", 0), ("key_bits", 1)])
def test_rejects_bad_sizes(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field} must be at least .*, not {value}"):
        TopKParams(**{"tokens": 4, "cells": 4, "key_bits": 8, field: value})


def test_rejects_more_cells_than_tokens() -> None:
    with pytest.raises(ValueError, match=r"cells must be at most tokens \(4\), not 5"):
        TopKParams(tokens=4, cells=5, key_bits=8)
