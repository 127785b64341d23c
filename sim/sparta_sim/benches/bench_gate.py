"""Bench of the gate unit: gated tokens and pooled sums equal the interpreter's."""

from typing import Any

import numpy as np

from sparta_hw.descriptor import Op, encode
from sparta_hw.interpreter.selection import gate
from sparta_hw.ir import Kind, TokenGate, Value
from sparta_hw.numerics import FixedPoint
from sparta_sim.benches.memories import expect_lines, spike_layout, spike_rows
from sparta_sim.benches.streams import Bench, ReadMemory, WriteLog, unit_test
from sparta_sim.cycles.select import gate_cycles

BIT, UBYTE = FixedPoint(1, 0, False), FixedPoint(8, 0, False)
OUT_BASE = 512


async def _gate(bench: Bench, memory: ReadMemory, rng: np.random.Generator, steps: int, side: int) -> None:
    dut, config, tokens = bench.dut, bench.config, side * side
    features = int(rng.integers(1, config.max_features + 1))
    pitch = -(-features // config.line) * config.line
    spikes = Value("spikes", (steps, features, side, side), BIT, Kind.SPIKES)
    index = Value("index", (int(rng.integers(1, tokens + 1)),), UBYTE, Kind.INDEX)
    op = TokenGate(
        node="gate", output=Value("tokens", (tokens, features), UBYTE), input=spikes, index=index,
        alpha=int(rng.integers(0, 256)), beta=int(rng.integers(0, 256)), shift=int(rng.integers(0, 5)),
    )  # fmt: skip
    words = (rng.random(spikes.shape) < rng.random((1, features, 1, 1))).astype(np.int64)
    ranked = rng.permutation(tokens)[: index.shape[0]]
    gated = gate(op, words[None], ranked[None])[0]

    source = spike_layout(config, spikes, pitch, base=3)
    target = spike_layout(config, op.output, pitch, OUT_BASE)
    memory.rows = spike_rows(config, source, words)
    fields = {
        "tokens": tokens, "chunks": pitch // config.line, "groups": source.groups, "in_base": source.base,
        "out_base": target.base, "gain_selected": op.alpha, "gain_other": op.beta, "shift": op.shift,
        "pool_shift": int(rng.integers(0, 6)),
    }  # fmt: skip
    dut.layer.value = encode(Op.GATE, "bench", **fields)
    dut.selected.value = sum(1 << int(token) for token in ranked)
    lines, sums = WriteLog(bench, "write"), WriteLog(bench, "pool")
    assert await bench.execute() == gate_cycles(config, fields)
    lines.stop()
    sums.stop()
    expect_lines(config, lines.events, target, gated)
    pooled = np.pad(gated.sum(axis=0) << fields["pool_shift"], (0, pitch - features))
    assert [(row, value) for row, value, _ in sums.events] == list(enumerate(pooled.tolist()))


@unit_test
async def tokens_and_sums_equal_interpreter(dut: Any, stall: float) -> None:
    """The unit has no stream: ``stall`` only seeds other cases."""
    bench = await Bench.begin(dut, stall)
    memory = ReadMemory(bench, "spikes")
    rng = np.random.default_rng(bench.rng.getrandbits(32))
    side = int(bench.config.max_tokens**0.5)
    for steps in range(1, bench.config.max_steps + 1):
        await _gate(bench, memory, rng, steps, int(rng.integers(1, side + 1)))
    await _gate(bench, memory, rng, bench.config.max_steps, side)
