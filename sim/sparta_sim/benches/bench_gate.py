"""Bench of the gate unit: gains, gated tokens and pooled sums equal the interpreter's."""

from typing import Any

import numpy as np

from sparta_hw.descriptor import Op, encode
from sparta_hw.interpreter.gate import gate, token_gain
from sparta_hw.ir import GateSource, Kind, TokenGate, Value
from sparta_hw.numerics import FixedPoint
from sparta_sim.benches.memories import expect_lines, spike_layout, spike_rows
from sparta_sim.benches.records import any_value, random_records, record_rows
from sparta_sim.benches.streams import Bench, ReadMemory, WriteLog, unit_test
from sparta_sim.cycles.tokens import gate_cycles

BIT, UBYTE, BYTE = FixedPoint(1, 0, False), FixedPoint(8, 0, False), FixedPoint(8, 0)
OUT_BASE = 512


async def _gate(bench: Bench, rng: np.random.Generator, steps: int, grid: int, tokens: int) -> None:
    """One or two sources, grouped or not, the last one perhaps pooled: a descriptor each."""
    dut, config = bench.dut, bench.config
    grouped, timing = tokens != grid or bool(rng.integers(2)), bool(rng.integers(2))
    group = rng.integers(0, grid, tokens) if grouped else np.arange(grid)
    most = config.max_features // config.line
    chunks = [int(rng.integers(1, most + 1))] if most == 1 or rng.random() < 0.3 else [1, most - 1]
    pooled = bool(rng.integers(2))
    positions = [grid] * len(chunks)
    cell = np.arange(grid)
    if pooled:
        positions[-1] = int(rng.integers(1, grid + 1))
        cell = rng.integers(0, positions[-1], grid)
    sources = tuple(
        GateSource(
            spikes=Value(f"spikes{n}", (steps, count * config.line, 1, positions[n]), BIT, Kind.SPIKES),
            cells=cell if pooled and n == len(chunks) - 1 else None,
        )
        for n, count in enumerate(chunks)
    )
    op = TokenGate(
        node="gate",
        output=Value("tokens", (tokens, sum(chunks) * config.line), UBYTE if rng.integers(2) else BYTE),
        sources=sources,
        index=any_value("index", tokens),
        group=any_value("group", tokens) if grouped else None,
        alpha=int(rng.integers(0, 256)),
        beta=int(rng.integers(0, 256)),
        msp=any_value("msp", grid),
        timing=rng.integers(0, 256, 128) if timing else None,
        shift=int(rng.integers(0, 5)),
        gain=any_value("gain", tokens),
    )
    winners = rng.permutation(tokens)[: int(rng.integers(1, tokens + 1))]
    records = random_records(rng, grid, 2047)
    spikes = {
        source.spikes.name: (
            rng.random(source.spikes.shape) < rng.random((1, source.spikes.shape[1], 1, 1))
        ).astype(np.int64)
        for source in sources
    }
    gain = token_gain(op, winners[None], np.array([len(winners)]), records["msp"][group][None])
    batch = {name: words[None] for name, words in spikes.items()}
    gated = gate(op, batch, gain, group[None] if grouped else None)[0]

    table = np.resize(op.timing if op.timing is not None else 0, 256)
    await bench.write("factors", (table | rng.integers(0, 1 << 24, 256) << 8).tolist())
    dut.selected.value = sum(1 << int(token) for token in winners)
    memories = [
        ReadMemory(bench, "group", group.tolist() if grouped else ()),
        ReadMemory(bench, "records", record_rows(config, records, 1, cell)),
    ]
    target = spike_layout(config, op.output, gated.shape[1], OUT_BASE)
    fields = {
        "tokens": tokens,
        "out_chunks": sum(chunks),
        "grouped": int(grouped),
        "gain_selected": op.alpha,
        "gain_other": op.beta,
        "timing": int(timing),
        "shift": op.shift,
        "limit": op.output.type.max,
        "pool_shift": int(rng.integers(0, 6)),
    }
    lines, sums = WriteLog(bench, "write"), WriteLog(bench, "pool")
    before = 0
    for source, count in zip(sources, chunks, strict=True):
        layout = spike_layout(config, source.spikes, count * config.line, base=3)
        rows = ReadMemory(bench, "spikes", spike_rows(config, layout, spikes[source.spikes.name]))
        own = {
            "chunks": count,
            "groups": layout.groups,
            "in_base": layout.base,
            "out_base": target.base + before * target.groups,
            "feature_base": before * config.line,
            "pooled": int(source.cells is not None),
        }
        dut.layer.value = encode(Op.GATE, "bench", **fields, **own)
        assert await bench.execute() == gate_cycles(config, fields | own)
        assert await bench.read("gains", tokens) == gain[0].tolist()
        rows.stop()
        before += count
    for memory in memories:
        memory.stop()
    lines.stop()
    sums.stop()
    expect_lines(config, lines.events, target, gated)
    pooled_sums = gated.sum(axis=0) << fields["pool_shift"]
    assert [(row, value) for row, value, _ in sums.events] == list(enumerate(pooled_sums.tolist()))


@unit_test
async def gains_tokens_and_sums_equal_interpreter(dut: Any, stall: float) -> None:
    """The unit has no stream: ``stall`` only seeds other cases."""
    bench = await Bench.begin(dut, stall)
    rng = np.random.default_rng(bench.rng.getrandbits(32))
    most = bench.config.max_tokens
    for steps in (*range(1, bench.config.max_steps + 1), bench.config.max_steps):
        await _gate(bench, rng, steps, *(int(count) for count in rng.integers(1, most + 1, 2)))
    for _ in range(2):
        await _gate(bench, rng, bench.config.max_steps, most, most)
