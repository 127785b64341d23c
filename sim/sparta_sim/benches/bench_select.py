"""Bench of the select unit: scores and token list equal the interpreter's."""

from typing import Any

import numpy as np

from sparta_hw.descriptor import Op, encode
from sparta_hw.interpreter.selection import score, spike_cues, top_k
from sparta_hw.ir import TokenScore, Value
from sparta_hw.numerics import FixedPoint
from sparta_rtl.cues import cue_sums_layout
from sparta_rtl.score import TABLE_ENTRY_BITS
from sparta_sim.benches.streams import Bench, EventLog, ReadMemory, bits_of, unit_test
from sparta_sim.benches.tokens import cue_sums, random_tokens
from sparta_sim.cycles.select import select_cycles

CUE, SCORE = FixedPoint(9, 3, False), FixedPoint(12, 4)


def _operation(tables: np.ndarray, tokens: int) -> TokenScore:
    first, interval, burst, rate = (Value(name, (tokens,), CUE) for name in ("f", "i", "b", "r"))
    output = Value("score", (tokens,), SCORE)
    return TokenScore(node="score", output=output, inputs=(first, interval, burst, rate), tables=tables)


def _table_rows(tables: np.ndarray) -> list[int]:
    mask = (1 << TABLE_ENTRY_BITS) - 1
    return [
        sum((int(entry) & mask) << TABLE_ENTRY_BITS * n for n, entry in enumerate(row)) for row in tables.T
    ]


async def _select(
    bench: Bench, memory: ReadMemory, tables: np.ndarray, spikes: np.ndarray, topk: int
) -> None:
    dut, config = bench.dut, bench.config
    steps, channels, tokens = spikes.shape
    scores = score(_operation(tables, tokens), spike_cues(spikes.reshape(1, steps, channels, 1, tokens)))
    ranked = top_k(scores, topk)[0].tolist()
    values = (scores[0] & (1 << config.score_bits) - 1).tolist()

    layout, sums = cue_sums_layout(config), cue_sums(spikes)
    rows = [{name: int(column[token]) for name, column in sums.items()} for token in range(tokens)]
    memory.rows = [bits_of(layout, row) for row in rows]
    fields = {"tokens": tokens, "channels": channels, "steps": steps}
    dut.layer.value = encode(Op.SELECT, "bench", **fields)
    dut.topk.value = topk
    scored = EventLog(bench, dut.score_valid, dut.score_token, dut.score_value)
    listed = EventLog(bench, dut.select_valid, dut.select_rank, dut.select_token)
    assert await bench.execute() == select_cycles(config, fields, topk)
    scored.stop()
    listed.stop()
    assert scored.events == list(enumerate(values))
    assert listed.events == list(enumerate(ranked))
    assert int(dut.selected.value) == sum(1 << token for token in ranked)
    assert await bench.read("tokens", topk) == ranked
    assert await bench.read("scores", topk) == [values[token] for token in ranked]


@unit_test
async def list_equals_interpreter(dut: Any, stall: float) -> None:
    """The unit has no stream with backpressure: ``stall`` only seeds other cases."""
    bench = await Bench.begin(dut, stall)
    config, rng = bench.config, np.random.default_rng(bench.rng.getrandbits(32))
    memory = ReadMemory(bench, "sums")
    for high in (512, 2):  # entries of the full range, and many equal scores
        tables = rng.integers(-high, high, (4, config.silent_cue + 1))
        await bench.write("tables", _table_rows(tables))
        for _ in range(4):
            limits = (config.max_steps, config.max_features, config.max_tokens)
            steps, channels, tokens = (int(rng.integers(1, limit + 1)) for limit in limits)
            topk = int(rng.integers(1, min(tokens, config.max_topk) + 1))
            await _select(bench, memory, tables, random_tokens(rng, steps, channels, tokens), topk)
        silent = np.zeros((config.max_steps, config.max_features, config.max_tokens), np.int64)
        await _select(bench, memory, tables, silent, config.max_topk)
        await _select(bench, memory, tables, silent + 1, 1)
