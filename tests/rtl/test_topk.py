import random

import pytest
from amaranth.sim import Simulator

from sparta_rtl import topk
from sparta_rtl.topk import TopKParams, TopKSorter


def run(
    dut: TopKSorter,
    searches: list[tuple[list[int], int]],
    stall: float = 0.0,
    wait: bool = False,
    clear: bool = True,
) -> list[list[int]]:
    """Selected indices of one search after the other; each begins while the one before may still walk."""
    rng, results = random.Random(5), []

    async def bench(ctx):
        for keys, count in searches:
            ctx.set(dut.clear, clear)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            for index, key in enumerate(keys):
                while rng.random() < stall:
                    await ctx.tick()
                ctx.set(dut.i.payload, {"key": key, "index": index})
                ctx.set(dut.i.valid, 1)
                last = index == len(keys) - 1
                ctx.set(dut.emit, last and not wait)
                ctx.set(dut.count, count if last else rng.randrange(dut.params.cells + 1))
                await ctx.tick()
                ctx.set(dut.i.valid, 0)
                ctx.set(dut.emit, 0)
            if wait:
                await ctx.tick().repeat(rng.randint(1, 4))
                ctx.set(dut.emit, 1)
                await ctx.tick()
                ctx.set(dut.emit, 0)
            await ctx.tick()
            ranked = []
            for rank in range(count):
                assert ctx.get(dut.o.valid)
                assert ctx.get(dut.o.payload.rank) == rank
                assert ctx.get(dut.o.payload.last) == (rank == count - 1)
                token = ctx.get(dut.o.payload.token)
                assert token.key == keys[token.index]
                ranked.append(token.index)
                await ctx.tick()
            assert not ctx.get(dut.o.valid)
            results.append(ranked)

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
    most = min(params.cells, tokens)
    counts = [1, most, *(rng.randint(1, most) for _ in lists[2:])]
    return list(zip(lists, counts, strict=True))


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize(("cells", "tokens"), [(1, 1), (1, 9), (2, 7), (5, 16), (16, 16), (16, 5), (8, 24)])
def test_ranks_equal_reference(cells: int, tokens: int, wait: bool, stall: float) -> None:
    params = TopKParams(cells=cells, key_bits=6, index_bits=5)
    searches = random_searches(params, tokens, seed=cells * tokens)
    assert run(params.create(), searches, stall, wait) == [params.compute(*search) for search in searches]


def test_reference_breaks_ties_by_lower_index() -> None:
    params = TopKParams(cells=4, key_bits=8, index_bits=3)
    assert params.compute([3, 7, 7, -1, 7, 3], 4) == [1, 2, 4, 0]


def test_a_displaced_token_stays_ahead_of_its_equals() -> None:
    """Token 1 passes cell 0 while its equal, token 0, is still there; token 2 then sends token 0 after it."""
    params = TopKParams(cells=3, key_bits=4, index_bits=2)
    assert run(params.create(), [([1, 1, 2], 3)]) == [[2, 0, 1]]


def test_tokens_of_an_earlier_search_are_caught() -> None:
    params = TopKParams(cells=3, key_bits=4, index_bits=3)
    searches = [([7, 6, 5], 3), ([1, 2, 3], 3)]
    assert run(params.create(), searches) == [[0, 1, 2], [2, 1, 0]]
    with pytest.raises(AssertionError):
        run(params.create(), searches, clear=False)


def test_an_unsigned_comparison_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topk, "_offset_binary", lambda key: key.as_unsigned())
    params = TopKParams(cells=3, key_bits=4, index_bits=2)
    assert run(params.create(), [([-1, 2, 3], 3)]) != [params.compute([-1, 2, 3], 3)]


@pytest.mark.parametrize("count", [0, 4, 3])
def test_reference_rejects_bad_counts(count: int) -> None:
    with pytest.raises(ValueError, match=f"K must be 1 to 2, not {count}"):
        TopKParams(cells=3, key_bits=4, index_bits=2).compute([1, 2], count)


@pytest.mark.parametrize(("field", "value"), [("cells", 0), ("key_bits", 1), ("index_bits", 0)])
def test_rejects_bad_sizes(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field} must be at least .*, not {value}"):
        TopKParams(**{"cells": 4, "key_bits": 8, "index_bits": 4, field: value})
