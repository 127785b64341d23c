"""Centre-surround inhibition of one token by its neighbours in the grid (paper STSG)."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_rtl.layouts import record_layout
from sparta_rtl.pipeline import delay, saturate

__all__ = ["NEIGHBOURS", "CentreSurround"]

NEIGHBOURS = (
    ("top", "left"),
    ("top",),
    ("top", "right"),
    ("left",),
    ("right",),
    ("bottom", "left"),
    ("bottom",),
    ("bottom", "right"),
)
"""Edges of the grid beyond which each of the 8 neighbours lies, in the order of reading."""


class CentreSurround(wiring.Component):
    """Reads the records of a token's neighbours, one a cycle, right behind the token's own.

        spatial = sat_s12(((rate[p] << 9) - inhibition * sum rate[neighbour]) >> 9)

    Rows of neighbours beyond an edge are read as well, and do not count.

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    start, token : In(1), In(range(max_tokens))
        The record of p is being read in this cycle. At the earliest 9 cycles after the start before.
    width, inhibition : In(12), In(7)
        Columns of the grid, and u7.6; stable.
    read, row : Out(1), Out(range(max_tokens))
        Record to read, in the 8 cycles after ``start``.
    record : In(record_layout(config))
        Record of the cycle before.
    done : Out(1)
        11 cycles after ``start``.
    spatial : Out(signed(12))
        s12.3, in the cycle after ``done``.
    """

    start: Signal
    token: Signal
    width: Signal
    inhibition: Signal
    read: Signal
    row: Signal
    record: data.View
    done: Signal
    spatial: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "token": In(range(config.max_tokens)),
                "width": In(12),
                "inhibition": In(config.inhibition_bits),
                "read": Out(1),
                "row": Out(range(config.max_tokens)),
                "record": In(record_layout(config)),
                "done": Out(1),
                "spatial": Out(signed(config.score_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, record = self._config, self.record
        count = len(NEIGHBOURS)

        # Neighbour n = 1 to 8: read -> fetched -> arrived (added) -> done (multiply) -> spatial.
        reading = Signal(range(count + 1))
        fetched = Signal(range(count + 1))
        arrived = Signal(range(count + 1))
        own, record = delay(m, self.start, 2), data.View(record.shape(), delay(m, record, 1))
        m.d.comb += self.read.eq(reading != 0)
        m.d.sync += [fetched.eq(reading), arrived.eq(fetched), self.done.eq(arrived == count)]
        next_line = self.width - 2
        steps = Array([0, 1, 1, next_line, 2, next_line, 1, 1, 0])
        with m.If(self.start):
            m.d.sync += [reading.eq(1), self.row.eq(self.token - self.width - 1)]
        with m.Elif(self.read):
            m.d.sync += [
                reading.eq(Mux(reading == count, 0, reading + 1)),
                self.row.eq(self.row + steps[reading]),
            ]

        rate = Signal(config.cue_bits)
        edges = {edge: Signal(name=edge) for edge in ("top", "bottom", "left", "right")}
        with m.If(own):
            m.d.sync += [rate.eq(record.rate), *(edge.eq(record[name]) for name, edge in edges.items())]
        beyond = Array([0, *(Cat(edges[name] for name in names).any() for names in NEIGHBOURS)])
        surround = Signal(unsigned(config.cue_bits + 3))
        with m.If(arrived != 0):
            m.d.sync += surround.eq(Mux(arrived == 1, 0, surround) + Mux(beyond[arrived], 0, record.rate))

        centre = Signal(config.cue_bits)
        inhibited = Signal(len(surround) + config.inhibition_bits, reset_less=True)
        with m.If(self.done):
            m.d.sync += centre.eq(rate)
        m.d.sync += inhibited.eq(surround * self.inhibition)
        shift = config.inhibition_frac + 3
        competed = Signal(signed(len(inhibited) + 1))
        m.d.comb += [
            competed.eq(((centre << shift) - inhibited) >> shift),
            self.spatial.eq(saturate(competed, config.score_bits)),
        ]
        return m
