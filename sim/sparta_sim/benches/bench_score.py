"""Bench of the score unit: records equal the interpreter's."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparta_hw.descriptor import Op, encode
from sparta_hw.interpreter.cues import records, spike_cues
from sparta_hw.ir import CueScale, TokenScore, Value
from sparta_rtl.layouts import CUES, cue_layout
from sparta_sim.benches.records import RECORD_FIELDS, any_value, record_rows
from sparta_sim.benches.streams import Bench, EventLog, ReadMemory, bits_of, unit_test
from sparta_sim.benches.tokens import random_tokens
from sparta_sim.cycles.selection import score_cycles

IntArray = NDArray[np.int64]


def _table_rows(tables: IntArray) -> list[int]:
    """Rows of tables (scales, 2, 4, entries): MSP and temporal entry of a cue in halves of 32 bits."""
    rows = np.ascontiguousarray(tables.transpose(0, 3, 2, 1).astype("<i2"))
    return [int.from_bytes(row.tobytes(), "little") for scale in rows for row in scale]


async def _score(bench: Bench, rng: np.random.Generator, memory: ReadMemory, high: int) -> None:
    config, dut = bench.config, bench.dut
    scales, steps = int(rng.integers(1, config.scales + 1)), int(rng.integers(1, config.max_steps + 1))
    cells = [int(side) for side in rng.integers(1, 3, 2)]
    rows, columns = (int(count) for count in rng.integers(1, 3, 2))
    height, width = rows * cells[0], columns * cells[1]
    place = np.arange(height * width)
    cell = place // width // cells[0] * columns + place % width // cells[1]
    pooled = bool(rng.integers(2))

    entries = config.silent_cue + 1
    tables = rng.integers(-high, high, (scales, 2, len(CUES), entries))
    await bench.write("tables", _table_rows(tables))
    fields = {"tokens": height * width, "width": width, "scales": scales}
    fields |= {
        "pooled": int(pooled),
        "cell_height": cells[0],
        "cell_width": cells[1],
        "cell_columns": columns,
    }
    values: dict[str, IntArray] = {}
    parts: list[CueScale] = []
    content: list[int] = []
    for scale in range(scales):
        last = pooled and scale == scales - 1
        positions, channels = rows * columns if last else height * width, int(rng.integers(1, 9))
        spikes = random_tokens(rng, steps, channels, positions)
        names = [f"{cue}.{scale}" for cue in CUES]
        cues = spike_cues(spikes.reshape(1, steps, channels, 1, positions))
        values |= dict(zip(names, cues, strict=True))
        fields[f"cue_base{scale}"] = len(content)
        content += [
            bits_of(cue_layout(config), {name: int(cue[0, at]) for name, cue in zip(CUES, cues, strict=True)})
            for at in range(positions)
        ]
        first, interval, burst, rate = (any_value(name, positions) for name in names)
        parts.append(
            CueScale(
                cues=(first, interval, burst, rate),
                msp_tables=tables[scale, 0],
                temporal_tables=tables[scale, 1],
                cells=cell if last else None,
            )
        )
    memory.rows = content
    outputs: tuple[Value, ...] = tuple(any_value(name, height * width) for name in RECORD_FIELDS)
    operation = TokenScore(node="", output=outputs[0], outputs=outputs, scales=tuple(parts))  # type: ignore[arg-type]
    expected = dict(zip(RECORD_FIELDS, (column[0] for column in records(operation, values)), strict=True))
    expected_rows = record_rows(config, expected, width, cell if pooled else None)

    dut.layer.value = encode(Op.SCORE, "bench", **fields)
    traced = EventLog(bench, dut.record_valid, dut.record_token, dut.record)
    assert await bench.execute() == score_cycles(fields)
    traced.stop()
    assert traced.events == list(enumerate(expected_rows))
    assert await bench.read("records", height * width) == expected_rows


@unit_test
async def records_equal_interpreter(dut: Any, stall: float) -> None:
    """The unit has no stream with backpressure: ``stall`` only seeds other cases."""
    bench = await Bench.begin(dut, stall)
    rng = np.random.default_rng(bench.rng.getrandbits(32))
    memory = ReadMemory(bench, "cues")
    for high in (1024, 256, 1024, 2) * 3:  # scores that saturate, that fit, and nearly equal ones
        await _score(bench, rng, memory, high)
