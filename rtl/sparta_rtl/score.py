"""The SCORE unit: one record a grid token, from the cues of all scales (paper eq. 3-5, base-2 logarithm)."""

from itertools import pairwise

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_rtl.layouts import CUES, cue_layout, descriptor_layout, record_layout
from sparta_rtl.memory import BlockRam, ReadPort, WritePort
from sparta_rtl.pipeline import delay, saturate

__all__ = ["SCORE_LATENCY", "SCORE_ROW_BITS", "TABLE_ENTRY_BITS", "ScoreUnit"]

SCORE_LATENCY = 9
"""Cycles from ``start`` to ``done`` beyond one a token and scale."""

TABLE_ENTRY_BITS = 32
"""Bits of one table's entries in a row that the host writes."""

SCORE_ROW_BITS = TABLE_ENTRY_BITS * len(CUES)

_ENTRY_HALF = TABLE_ENTRY_BITS // 2
"""Where the temporal entry begins; the MSP entry begins at bit 0."""


class ScoreUnit(wiring.Component):
    """Looks up and adds the cues of each grid token, a scale a cycle.

        msp[p] = sat_s12(sum over scales of M_first[first] + M_interval[interval] + M_burst[burst] + M_rate[rate])
        temporal[p] = the same with the tables T_*;  first, interval, rate of the record: sums over scales

    Scale s has its cues at row ``cue_base_s + p`` of the cue memory; the last one, if it is pooled, at the row of the
    cell that p lies in. ``cell`` of the record is p without a pooled scale.

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    start, done : In(1), Out(1)
    layer : In(descriptor_layout(Op.SCORE))
    cues : Out(ReadPort(max_tokens * scales, cue_layout(config).size))
        The cue unit's memory.
    tables : In(WritePort(scales * (silent_cue + 1), 128))
        Row = scale * (silent_cue + 1) + cue; four entries of 32 bits in the order of ``CUES``, lowest first: MSP in the
        lowest ``table_bits`` bits, temporal from bit 16 on.
    records : In(ReadPort(max_tokens, record_layout(config).size))
        Record of a grid token. Not while the unit works.
    record_valid, record_token, record : Out(1), Out(range(max_tokens)), Out(record_layout(config))
        Trace: a record is written.

    Notes
    -----
    ``cycles = tokens * scales + SCORE_LATENCY`` (``sparta_sim/cycles/selection.py``).
    """

    start: Signal
    done: Signal
    layer: data.View
    cues: wiring.PureInterface
    tables: wiring.PureInterface
    records: wiring.PureInterface
    record_valid: Signal
    record_token: Signal
    record: data.View

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        self._table_rows = config.scales * (config.silent_cue + 1)
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "layer": In(descriptor_layout(Op.SCORE)),
                "cues": Out(ReadPort(config.max_tokens * config.scales, cue_layout(config).size)),
                "tables": In(WritePort(self._table_rows, SCORE_ROW_BITS)),
                "records": In(ReadPort(config.max_tokens, record_layout(config).size)),
                "record_valid": Out(1),
                "record_token": Out(range(config.max_tokens)),
                "record": Out(record_layout(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.memory = memory = BlockRam(config.max_tokens, record_layout(config).size)
        wiring.connect(m, wiring.flipped(self.records), memory.read)

        # A token of one scale: issue -> read -> found -> cues -> look -> entries found -> kept -> added -> complete.
        tag = data.StructLayout(
            {
                "valid": 1,
                "token": range(config.max_tokens),
                "cell": range(config.max_tokens),
                **dict.fromkeys(("top", "bottom", "left", "right", "first_scale", "last_scale"), 1),
            }
        )
        names = ("read", "found", "cues", "look", "entries_found", "kept", "added", "complete")
        issue = Signal(tag)
        stages = {name: Signal(tag, name=f"{name}_tag") for name in names}
        m.d.sync += [stage.eq(before) for before, stage in pairwise((issue, *stages.values()))]
        added, complete = stages["added"], stages["complete"]
        table = self._walk(m, issue)
        m.d.comb += self.cues.en.eq(stages["read"].valid)

        cues = Signal(cue_layout(config))
        m.d.sync += cues.eq(self.cues.data)
        entries = self._tables(m, stages["look"].valid, delay(m, table, 2), cues)
        sums = {name: Signal(config.cue_bits, name=f"sum_{name}") for name in ("first", "interval", "rate")}
        for name, total in sums.items():
            m.d.sync += total.eq(Mux(added.first_scale, 0, total) + delay(m, cues[name], 4))
        scores = {}
        for name, parts in entries.items():
            partial = Signal(signed(config.table_bits + 2), name=f"partial_{name}")
            score = Signal(signed(config.table_bits + 4), name=f"score_{name}")
            scores[name] = saturate(score, config.score_bits)
            m.d.sync += [partial.eq(sum(parts)), score.eq(Mux(added.first_scale, 0, score) + partial)]

        m.d.comb += [
            self.record_valid.eq(complete.valid & complete.last_scale),
            self.record_token.eq(complete.token),
            *(self.record[name].eq(value) for name, value in (scores | sums).items()),
            *(self.record[name].eq(complete[name]) for name in ("cell", "top", "bottom", "left", "right")),
            memory.write.en.eq(self.record_valid),
            memory.write.addr.eq(self.record_token),
            memory.write.data.eq(self.record),
        ]
        last_token = Signal.like(complete.token)
        m.d.sync += [
            last_token.eq(self.layer.tokens - 1),
            self.done.eq(self.record_valid & (complete.token == last_token)),
        ]
        return m

    def _walk(self, m: Module, issue: data.View) -> Signal:
        """All scales of all tokens, a scale a cycle; one later, the address of its cues and its first table row."""
        config, layer = self._config, self.layer
        scale = Signal(range(max(config.scales, 2)))
        column = Signal.like(layer.width)
        cell_column = Signal.like(layer.cell_width)
        cell_row = Signal.like(layer.cell_height)
        first_cell = Signal.like(issue.cell)
        token, cell = issue.token, Signal.like(issue.cell)
        fields = ("scales", "width", "cell_width", "cell_height", "tokens")
        last = {name: Signal.like(layer[name], name=f"last_{name}") for name in fields}
        m.d.sync += [signal.eq(layer[name] - 1) for name, signal in last.items()]
        m.d.comb += [
            issue.cell.eq(Mux(layer.pooled, cell, token)),
            issue.bottom.eq(token + layer.width >= layer.tokens),
            issue.left.eq(column == 0),
            issue.right.eq(column == last["width"]),
            issue.first_scale.eq(scale == 0),
            issue.last_scale.eq(scale == last["scales"]),
        ]
        with m.If(self.start):
            m.d.sync += [issue.valid.eq(1), issue.top.eq(1)]
            m.d.sync += [
                counter.eq(0) for counter in (scale, token, column, cell_column, cell_row, cell, first_cell)
            ]
        with m.Elif(~issue.last_scale):
            m.d.sync += scale.eq(scale + 1)
        with m.Else():
            m.d.sync += [
                issue.valid.eq(issue.valid & (token != last["tokens"])),
                scale.eq(0),
                token.eq(token + 1),
                column.eq(column + 1),
                cell_column.eq(cell_column + 1),
            ]
            with m.If(cell_column == last["cell_width"]):
                m.d.sync += [cell_column.eq(0), cell.eq(cell + 1)]
            with m.If(issue.right):
                m.d.sync += [issue.top.eq(0), column.eq(0), cell_column.eq(0)]
                m.d.sync += [cell_row.eq(cell_row + 1), cell.eq(first_cell)]
                with m.If(cell_row == last["cell_height"]):
                    below = first_cell + layer.cell_columns
                    m.d.sync += [cell_row.eq(0), cell.eq(below), first_cell.eq(below)]

        table = Signal(range(self._table_rows))
        base = Signal.like(self.cues.addr)
        place = Signal.like(self.cues.addr)
        bases = Array([layer.cue_base0, layer.cue_base1, layer.cue_base2][: config.scales])
        tables = Array([n * (config.silent_cue + 1) for n in range(config.scales)])
        m.d.sync += [
            base.eq(bases[scale]),
            table.eq(tables[scale]),
            place.eq(Mux(issue.last_scale, issue.cell, token)),
        ]
        m.d.comb += self.cues.addr.eq(base + place)
        return table

    def _tables(self, m: Module, look: Signal, base: Value, cues: data.View) -> dict[str, list[Value]]:
        """MSP and temporal entries of the four cues, three cycles later; ``look`` one cycle later."""
        config = self._config
        layout = data.StructLayout({name: signed(config.table_bits) for name in ("msp", "temporal")})
        entries: dict[str, list[Value]] = {name: [] for name in layout.members}
        for position, cue in enumerate(CUES):
            table = BlockRam(self._table_rows, layout.size)
            m.submodules[f"table_{cue}"] = table
            entry, row = (
                Signal(layout, name=f"entry_{cue}"),
                Signal(range(self._table_rows), name=f"row_{cue}"),
            )
            written = self.tables.data.word_select(position, TABLE_ENTRY_BITS)
            m.d.comb += [
                table.read.en.eq(look),
                table.read.addr.eq(row),
                table.write.en.eq(self.tables.en),
                table.write.addr.eq(self.tables.addr),
                table.write.data.eq(
                    Cat(half[: config.table_bits] for half in (written[:_ENTRY_HALF], written[_ENTRY_HALF:]))
                ),
            ]
            m.d.sync += [row.eq(base + cues[cue]), entry.eq(table.read.data)]
            for name, parts in entries.items():
                parts.append(entry[name])
        return entries
