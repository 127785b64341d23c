"""The SCORE unit: one record a grid token, from the cue sums of all scales (paper eq. 3-5, base-2 logarithm)."""

from itertools import pairwise

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.cues import cue_sums_layout
from sparta_rtl.divider import SerialDivider
from sparta_rtl.layouts import descriptor_layout, record_layout
from sparta_rtl.memory import BlockRam, ReadPort, WritePort
from sparta_rtl.pipeline import saturate

__all__ = ["CUES", "SCORE_ROW_BITS", "TABLE_ENTRY_BITS", "ScoreUnit"]

CUES = ("first", "interval", "burst", "rate")
"""The cues in the order of their tables."""

TABLE_ENTRY_BITS = 32
"""Bits of one table's entries in a row that the host writes."""

SCORE_ROW_BITS = TABLE_ENTRY_BITS * len(CUES)

_ENTRY_HALF = TABLE_ENTRY_BITS // 2
"""Where the temporal entry begins; the MSP entry begins at bit 0."""


class ScoreUnit(wiring.Component):
    """Divides, looks up and adds the cues of each grid token, ``q + 1`` cycles a token and scale.

        first = (F << 3) // C    interval = (A << 3) // G, or T << 3 when G = 0
        burst = (U << 3) // C    rate = (R << 3) // C
        msp[p] = sat_s12(sum over scales of M_first[first] + M_interval[interval] + M_burst[burst] + M_rate[rate])
        temporal[p] = the same with the tables T_*;  first, interval, rate of the record: sums over scales

    Scale s has its sums at row ``cue_base_s + p`` of the cue memory; the last one, if it is pooled, at the row of the
    cell that p lies in. ``cell`` of the record is p without a pooled scale.

    Parameters
    ----------
    config : CoreConfig
        ``silent_cue`` has q bits.

    Members
    -------
    start, done : In(1), Out(1)
    layer : In(descriptor_layout(Op.SCORE))
    sums : Out(ReadPort(max_tokens * scales, cue_sums_layout(config).size))
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
    ``cycles = tokens * scales * (q + 1) + 8`` (``sparta_sim/cycles/selection.py``).
    """

    start: Signal
    done: Signal
    layer: data.View
    sums: wiring.PureInterface
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
                "sums": Out(ReadPort(config.max_tokens * config.scales, cue_sums_layout(config).size)),
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

        # A token of one scale: read -> divide -> divided -> look -> found -> entries -> added -> complete (write).
        tag = data.StructLayout(
            {
                "token": range(config.max_tokens),
                "cell": range(config.max_tokens),
                **dict.fromkeys(("top", "bottom", "left", "right", "first_scale", "last_scale"), 1),
                "table": range(self._table_rows),
            }
        )
        issue = Signal(tag)
        divide = Signal()
        divided = Signal()
        held = Signal(tag)
        current = Signal(tag)
        stages = [Signal(name=stage) for stage in ("look", "found", "entries", "added", "complete")]
        look, *_, added, complete = stages
        m.d.sync += [divide.eq(self.sums.en), look.eq(divided)]
        m.d.sync += [following.eq(stage) for stage, following in pairwise(stages)]
        with m.If(divide):
            m.d.sync += held.eq(issue)
        with m.If(divided):
            m.d.sync += current.eq(held)
        channels = self._walk(m, issue)
        cues = self._divide(m, divide, divided, channels)

        sums = {name: Signal(config.cue_bits, name=f"sum_{name}") for name in ("first", "interval", "rate")}
        with m.If(divided):
            m.d.sync += [
                total.eq(Mux(held.first_scale, 0, total) + cues[name]) for name, total in sums.items()
            ]
        entries = self._tables(m, divided, look, held.table, cues)
        scores = {}
        for name, parts in entries.items():
            partial = Signal(signed(config.table_bits + 2), name=f"partial_{name}")
            score = Signal(signed(config.table_bits + 4), name=f"score_{name}")
            scores[name] = saturate(score, config.score_bits)
            m.d.sync += partial.eq(sum(parts))
            with m.If(added):
                m.d.sync += score.eq(Mux(current.first_scale, 0, score) + partial)

        m.d.comb += [
            self.record_valid.eq(complete & current.last_scale),
            self.record_token.eq(current.token),
            *(self.record[name].eq(value) for name, value in (scores | sums).items()),
            *(self.record[name].eq(current[name]) for name in ("cell", "top", "bottom", "left", "right")),
            memory.write.en.eq(self.record_valid),
            memory.write.addr.eq(self.record_token),
            memory.write.data.eq(self.record),
        ]
        last_token = Signal.like(current.token)
        m.d.sync += [
            last_token.eq(self.layer.tokens - 1),
            self.done.eq(self.record_valid & (current.token == last_token)),
        ]
        return m

    def _walk(self, m: Module, issue: data.View) -> Value:
        """Read the sums of all scales of all tokens, a row in ``q + 1`` cycles; channels of the row's scale."""
        config, layer = self._config, self.layer
        periods = unsigned_bits(config.silent_cue)
        running = Signal()
        phase = Signal(range(periods + 1))
        step = Signal()
        scale = Signal(range(max(config.scales, 2)))
        token = Signal.like(issue.token)
        table = Signal(range(self._table_rows))
        column = Signal.like(layer.width)
        cell_column = Signal.like(layer.cell_width)
        cell_row = Signal.like(layer.cell_height)
        cell = Signal.like(issue.cell)
        first_cell = Signal.like(issue.cell)
        top = Signal()
        right = Signal()
        cell_right = Signal()
        cell_bottom = Signal()
        last_scale = Signal()
        scale_ends = Signal()
        line_ends = Signal()
        ends = Signal()
        fields = ("scales", "width", "cell_width", "cell_height", "tokens")
        last = {name: Signal.like(layer[name], name=f"last_{name}") for name in fields}
        m.d.sync += [signal.eq(layer[name] - 1) for name, signal in last.items()]
        m.d.comb += [last_scale.eq(scale == last["scales"]), right.eq(column == last["width"])]
        m.d.sync += [
            scale_ends.eq(last_scale),
            line_ends.eq(right),
            cell_right.eq(cell_column == last["cell_width"]),
            cell_bottom.eq(cell_row == last["cell_height"]),
            ends.eq(token == last["tokens"]),
        ]
        m.d.sync += step.eq((phase == periods - 1) & ~self.start)
        with m.If(self.start):
            m.d.sync += [running.eq(1), phase.eq(0), scale.eq(0), token.eq(0), table.eq(0), top.eq(1)]
            m.d.sync += [counter.eq(0) for counter in (column, cell_column, cell_row, cell, first_cell)]
        with m.Elif(~step):
            m.d.sync += phase.eq(phase + 1)
        with m.Else():
            m.d.sync += [phase.eq(0), scale.eq(scale + 1), table.eq(table + config.silent_cue + 1)]
            with m.If(scale_ends):
                m.d.sync += [scale.eq(0), table.eq(0), token.eq(token + 1), column.eq(column + 1)]
                m.d.sync += [
                    cell_column.eq(cell_column + 1),
                    running.eq(running & ~ends),
                ]
                with m.If(cell_right):
                    m.d.sync += [cell_column.eq(0), cell.eq(cell + 1)]
                with m.If(line_ends):
                    m.d.sync += [
                        column.eq(0),
                        cell_column.eq(0),
                        top.eq(0),
                        cell_row.eq(cell_row + 1),
                        cell.eq(first_cell),
                    ]
                    with m.If(cell_bottom):
                        below = first_cell + layer.cell_columns
                        m.d.sync += [cell_row.eq(0), cell.eq(below), first_cell.eq(below)]

        bases = Array([layer.cue_base0, layer.cue_base1, layer.cue_base2][: config.scales])
        m.d.comb += [
            issue.token.eq(token),
            issue.cell.eq(Mux(layer.pooled, cell, token)),
            issue.top.eq(top),
            issue.bottom.eq(token + layer.width >= layer.tokens),
            issue.left.eq(column == 0),
            issue.right.eq(right),
            issue.first_scale.eq(scale == 0),
            issue.last_scale.eq(last_scale),
            issue.table.eq(table),
            self.sums.en.eq(running & (phase == 0)),
            self.sums.addr.eq(bases[scale] + Mux(last_scale, issue.cell, token)),
        ]
        return Array([layer.channels0, layer.channels1, layer.channels2][: config.scales])[scale]

    def _divide(self, m: Module, divide: Signal, divided: Signal, channels: Value) -> dict[str, Value]:
        """The four cues of the row that is read in the cycle before ``divide``, valid with ``divided``."""
        config = self._config
        sums = data.View(cue_sums_layout(config), self.sums.data)
        silent = self.layer.steps << config.cue_frac
        gaps = Signal.like(sums.gaps)
        no_gaps = Signal()
        m.d.sync += no_gaps.eq(gaps == 0)
        with m.If(divide):
            m.d.sync += gaps.eq(sums.gaps)
        operands = {
            "first": (sums.first, channels),
            "interval": (sums.span, sums.gaps),
            "burst": (sums.burst, channels),
            "rate": (sums.rate, channels),
        }
        cues = {}
        for cue, (total, count) in operands.items():
            divider = SerialDivider(
                len(total) + config.cue_frac, len(count), unsigned_bits(config.silent_cue)
            )
            m.submodules[f"divider_{cue}"] = divider
            cues[cue] = Mux(no_gaps, silent, divider.quotient) if cue == "interval" else divider.quotient
            m.d.comb += [
                divider.start.eq(divide),
                divider.numerator.eq(total << config.cue_frac),
                divider.denominator.eq(count),
                divided.eq(divider.done),
            ]
        return cues

    def _tables(
        self, m: Module, divided: Signal, look: Signal, base: Value, cues: dict[str, Value]
    ) -> dict[str, list[Value]]:
        """MSP and temporal entries of the four cues, two cycles after ``look``."""
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
            m.d.sync += entry.eq(table.read.data)
            with m.If(divided):
                m.d.sync += row.eq(base + cues[cue])
            for name, parts in entries.items():
                parts.append(entry[name])
        return entries
