"""Token scores: four divisions, four table look-ups, one sum (paper eq. 3-5 in the base-2 logarithm)."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.cues import cue_sums_layout
from sparta_rtl.divider import SerialDivider
from sparta_rtl.memory import BlockRam, ReadPort, WritePort

__all__ = ["CUES", "TABLE_ENTRY_BITS", "ScoreUnit", "score_layout"]

CUES = ("first", "interval", "burst", "rate")
"""The cues in the order of their tables."""

TABLE_ENTRY_BITS = 16
"""Bits of one table's entry in a row that the host writes."""


def score_layout(config: CoreConfig) -> data.StructLayout:
    """One scored token. token : its index;  value : s12.4;  last : token is N - 1."""
    return data.StructLayout(
        {
            "token": range(config.max_tokens),
            "value": signed(config.score_bits),
            "last": 1,
        }
    )


class ScoreUnit(wiring.Component):
    """Scores tokens 0 to N - 1 from their cue sums, ``q + 1`` cycles a token, q = bits of ``silent_cue``.

        first = (F << 3) // C    interval = (A << 3) // G, or T << 3 when G = 0
        burst = (U << 3) // C    rate = (R << 3) // C
        score = table_first[first] + table_interval[interval] + table_burst[burst] + table_rate[rate]

    The compiler has seen to it that a score fits ``score_bits``.

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    start : In(1)
    tokens, channels, steps : In(12), In(12), In(6)
        N, C and T, stable while the unit works.
    sums : Out(ReadPort(max_tokens, cue_sums_layout(config).size))
        Cue sums of a token.
    tables : In(WritePort(silent_cue + 1, 64))
        Row = cue value; four entries of 16 bits in the order of ``CUES``, lowest first, of which the lowest
        ``table_bits`` count.
    o : Out(stream.Signature(score_layout(config), always_ready=True))
        Scores in token order; that of token i in cycle ``(i + 1) * (q + 1) + 5`` after ``start``.
    """

    start: Signal
    tokens: Signal
    channels: Signal
    steps: Signal
    sums: wiring.PureInterface
    tables: wiring.PureInterface
    o: stream.Interface

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "tokens": In(12),
                "channels": In(12),
                "steps": In(6),
                "sums": Out(ReadPort(config.max_tokens, cue_sums_layout(config).size)),
                "tables": In(WritePort(config.silent_cue + 1, TABLE_ENTRY_BITS * len(CUES))),
                "o": Out(stream.Signature(score_layout(config), always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        quotient_bits = unsigned_bits(config.silent_cue)
        sums = data.View(cue_sums_layout(config), self.sums.data)

        running, phase = Signal(), Signal(range(quotient_bits + 1))
        token, last_token = Signal(range(config.max_tokens)), Signal()
        m.d.comb += last_token.eq(token == self.tokens - 1)
        with m.If(self.start):
            m.d.sync += [running.eq(1), phase.eq(0), token.eq(0)]
        with m.Elif(phase != quotient_bits):
            m.d.sync += phase.eq(phase + 1)
        with m.Else():
            m.d.sync += [phase.eq(0), token.eq(token + 1), running.eq(running & ~last_token)]
        m.d.comb += [self.sums.en.eq(running & (phase == 0)), self.sums.addr.eq(token)]

        # A token: sums.en (read) -> divide -> divided (look up) -> found -> added -> o.
        divide, divided, found, added, no_gaps = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.sync += [divide.eq(self.sums.en), found.eq(divided), added.eq(found), self.o.valid.eq(added)]
        with m.If(divide):
            m.d.sync += no_gaps.eq(sums.gaps == 0)
        operands = {
            "first": (sums.first, self.channels),
            "interval": (sums.span, sums.gaps),
            "burst": (sums.burst, self.channels),
            "rate": (sums.rate, self.channels),
        }
        entries = []
        for position, cue in enumerate(CUES):
            total, count = operands[cue]
            divider = SerialDivider(len(total) + config.cue_frac, len(count), quotient_bits)
            table = BlockRam(config.silent_cue + 1, config.table_bits)
            m.submodules[f"divider_{cue}"], m.submodules[f"table_{cue}"] = divider, table
            value = (
                Mux(no_gaps, self.steps << config.cue_frac, divider.quotient)
                if cue == "interval"
                else divider.quotient
            )
            entry = Signal(signed(config.table_bits), name=f"entry_{cue}")
            entries.append(entry)
            m.d.comb += [
                divider.start.eq(divide),
                divider.numerator.eq(total << config.cue_frac),
                divider.denominator.eq(count),
                divided.eq(divider.done),
                table.read.en.eq(divider.done),
                table.read.addr.eq(value),
                table.write.en.eq(self.tables.en),
                table.write.addr.eq(self.tables.addr),
                table.write.data.eq(self.tables.data.word_select(position, TABLE_ENTRY_BITS)),
            ]
            m.d.sync += entry.eq(table.read.data)

        scored = Signal(range(config.max_tokens))
        with m.If(self.start):
            m.d.sync += scored.eq(0)
        with m.Elif(added):
            m.d.sync += [
                self.o.payload.token.eq(scored),
                self.o.payload.value.eq(sum(entries)),
                self.o.payload.last.eq(scored == self.tokens - 1),
                scored.eq(scored + 1),
            ]
        return m
