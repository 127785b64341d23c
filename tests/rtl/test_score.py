import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator
from numpy.typing import NDArray

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_hw.descriptor import Op
from sparta_rtl import score
from sparta_rtl.layouts import CUES, cue_layout, descriptor_layout, record_layout
from sparta_rtl.score import ScoreUnit
from sparta_sim.cycles.selection import score_cycles
from tests.rtl.rank_reference import grid_edges

IntArray = NDArray[np.int64]


def core(max_steps: int, scales: int = 3, max_tokens: int = 16) -> CoreConfig:
    return CoreConfig(
        name="test", max_steps=max_steps, scales=scales, max_tokens=max_tokens, max_topk=max_tokens
    )


def random_cues(rng: np.random.Generator, positions: int, steps: int) -> IntArray:
    """Cues (positions, 4): position 0 has the largest, position 1 none."""
    cues = rng.integers(0, (steps << 3) + 1, (positions, len(CUES)))
    cues[0], cues[1:2] = steps << 3, 0
    return cues


class Case:
    """A grid, cues of its scales somewhere in the cue memory, and score tables."""

    def __init__(
        self,
        config: CoreConfig,
        grid: tuple[int, int],
        scales: int,
        steps: int,
        cell: tuple[int, int] | None = None,
        seed: int = 0,
        high: int = 1024,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.config, self.grid, self.cell = config, grid, cell
        height, width = grid
        self.cues, base = [], 0
        self.fields = {
            "tokens": height * width,
            "width": width,
            "scales": scales,
            "pooled": int(cell is not None),
        }
        if cell:
            self.fields |= {
                "cell_height": cell[0],
                "cell_width": cell[1],
                "cell_columns": width // cell[1],
            }
        for scale in range(scales):
            pooled = cell is not None and scale == scales - 1
            positions = self.cells().max() + 1 if pooled else height * width
            self.cues.append(random_cues(rng, positions, steps))
            self.fields[f"cue_base{scale}"] = base
            base += positions
        self.tables = rng.integers(-high, high, (scales, 2, len(CUES), config.silent_cue + 1))

    def cells(self) -> IntArray:
        """Cell of each grid token; without cells the token itself."""
        height, width = self.grid
        if self.cell is None:
            return np.arange(height * width)
        rows, columns = np.divmod(np.arange(height * width), width)
        return rows // self.cell[0] * (width // self.cell[1]) + columns // self.cell[1]

    def memory(self) -> list[int]:
        """Rows of the cue memory."""
        layout = cue_layout(self.config)
        rows = [dict(zip(CUES, row.tolist(), strict=True)) for cues in self.cues for row in cues]
        return [layout.const(row).as_bits() for row in rows]

    def table_rows(self) -> list[int]:
        """What the host writes: two sign-extended halves an entry, four entries a row."""
        rows = self.tables.astype("<i2").transpose(0, 3, 2, 1)
        return [
            int.from_bytes(np.ascontiguousarray(row).tobytes(), "little") for scale in rows for row in scale
        ]

    def records(self) -> list[dict[str, int]]:
        """Records as ARCHITECTURE.md defines them."""
        msp = temporal = first = interval = rate = np.zeros(self.fields["tokens"], np.int64)
        for scale, rows in enumerate(self.cues):
            pooled = self.cell is not None and scale == len(self.cues) - 1
            cues = rows[self.cells() if pooled else slice(None)].T
            entries = self.tables[scale][:, np.arange(len(CUES))[:, None], cues].sum(axis=1)
            msp, temporal = msp + entries[0], temporal + entries[1]
            first, interval, rate = first + cues[0], interval + cues[1], rate + cues[3]
        columns = {
            "msp": np.clip(msp, -2048, 2047),
            "temporal": np.clip(temporal, -2048, 2047),
            "first": first,
            "interval": interval,
            "rate": rate,
            "cell": self.cells(),
        }
        return [
            {name: int(column[p]) for name, column in columns.items()} | grid_edges(p, *self.grid)
            for p in range(self.fields["tokens"])
        ]


def run(cases: list[Case]) -> list[tuple[list[dict[str, int]], int]]:
    """Records and cycles of each case."""
    config = cases[0].config
    dut, layout, results = ScoreUnit(config), record_layout(config), []
    rows: list[int] = []

    async def memory(ctx):
        async for _, _, en, addr in ctx.tick().sample(dut.cues.en, dut.cues.addr):
            if en:
                ctx.set(dut.cues.data, rows[addr])

    def as_dict(record) -> dict[str, int]:
        return {name: int(record[name]) for name in layout.members}

    async def bench(ctx):
        for case in cases:
            rows[:] = case.memory()
            ctx.set(dut.tables.en, 1)
            for address, row in enumerate(case.table_rows()):
                ctx.set(dut.tables.addr, address)
                ctx.set(dut.tables.data, row)
                await ctx.tick()
            ctx.set(dut.tables.en, 0)
            ctx.set(dut.layer, descriptor_layout(Op.SCORE).const(case.fields))
            ctx.set(dut.start, 1)
            cycles, done, traced = 0, 0, []
            while not done:
                _, _, done, valid, token, record = await ctx.tick().sample(
                    dut.done, dut.record_valid, dut.record_token, dut.record
                )
                ctx.set(dut.start, 0)
                if valid:
                    assert token == len(traced)
                    traced.append(as_dict(record))
                cycles += not done
                assert cycles < 20_000, "the unit does not finish"
            ctx.set(dut.records.en, 1)
            for token, record in enumerate(traced):
                ctx.set(dut.records.addr, token)
                await ctx.tick()
                assert as_dict(layout.from_bits(ctx.get(dut.records.data))) == record
            ctx.set(dut.records.en, 0)
            results.append((traced, cycles))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(memory, background=True)
    sim.add_testbench(bench)
    sim.run()
    return results


def check(cases: list[Case]) -> None:
    for case, (records, cycles) in zip(cases, run(cases), strict=True):
        assert records == case.records()
        assert cycles == score_cycles(case.fields)


@pytest.mark.parametrize(("max_steps", "steps"), [(8, 8), (8, 5), (1, 1), (32, 32), (16, 1)])
def test_one_scale(max_steps: int, steps: int) -> None:
    config = core(max_steps, scales=1)
    grids = [(4, 4), (1, 16), (16, 1), (1, 1), (2, 3)]
    check([Case(config, grid, 1, steps, seed=n, high=500) for n, grid in enumerate(grids)])


@pytest.mark.parametrize("max_steps", [1, 2, 8, 32])
def test_three_scales_with_cells(max_steps: int) -> None:
    config = core(max_steps)
    grids = [((4, 4), (2, 2)), ((2, 6), (1, 2)), ((6, 2), (3, 2)), ((4, 4), (4, 4)), ((1, 1), (1, 1))]
    cases = [Case(config, grid, 3, max_steps, cell, seed=n) for n, (grid, cell) in enumerate(grids)]
    check([*cases, Case(config, (3, 5), 2, max_steps), Case(config, (2, 2), 3, max_steps)])


def test_largest_grid_and_cue_memory() -> None:
    check([Case(core(1, max_tokens=1024), (16, 64), 3, 1, (1, 1))])


def test_scores_saturate_at_both_ends() -> None:
    case = Case(core(8), (2, 2), 3, 8)
    case.tables[:, 0], case.tables[:, 1] = 1023, -1024
    check([case])
    assert {record["msp"] for record in case.records()} == {2047}
    assert {record["temporal"] for record in case.records()} == {-2048}


def test_tables_in_the_wrong_order_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "CUES", ("interval", "first", "burst", "rate"))
    with pytest.raises(AssertionError):
        check([Case(core(8), (4, 4), 1, 8)])


def test_a_scale_in_the_wrong_place_is_caught() -> None:
    case = Case(core(8), (4, 4), 2, 8)
    expected = case.records()
    case.fields["cue_base1"] = 0
    assert run([case])[0][0] != expected


@pytest.mark.parametrize("name", NAMED_CONFIGS)
def test_converts_to_verilog(name: str) -> None:
    assert "module top" in verilog.convert(ScoreUnit(NAMED_CONFIGS[name]))
