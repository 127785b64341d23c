"""Second half of sparse attention: base-2 exponentials of a row, and the values they weigh."""

from amaranth.hdl import Array, Cat, Module, Mux, Shape, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_hw.numerics import EXP_TABLE, signed_bits, unsigned_bits
from sparta_rtl.heads import walk_heads
from sparta_rtl.layouts import descriptor_layout
from sparta_rtl.memory import ReadPort
from sparta_rtl.pipeline import delay, last_of

__all__ = ["MixPass", "mixed_layout"]


def mixed_layout(config: CoreConfig) -> data.StructLayout:
    """One chunk of one row before normalisation: S and P sums o; |o| is at most 128 * S."""
    largest = config.max_topk << config.exp_bits
    return data.StructLayout(
        {
            "total": unsigned(unsigned_bits(largest)),
            "sums": data.ArrayLayout(signed(signed_bits(-largest << 7, 0)), config.lanes),
        }
    )


class MixPass(wiring.Component):
    """Weighted sums of the values, head by head, row by row and chunk by chunk, on P multipliers::

        d = m[i] - z[i, j],  p[j] = EXP[d & 15] >> min(d >> 4, 15)
        S = sum_j p[j],  o[e] = sum_j p[j] * v[j, e]

    The exponentials, and S with them, are computed again for every chunk, so that nothing but z is stored. A
    chunk takes K cycles, or P where division is slower. Once begun it never waits: ``o`` cannot stall.

    Parameters
    ----------
    config : CoreConfig
        Size of the core.
    value_rows : int
        Depth of the value memory.
    slots : int
        Rows that the similarity memory holds, a power of two; rows use them in turn.

    Members
    -------
    start : In(1)
        ``layer`` and ``topk`` (K) are stable from here to the last result.
    layer : In(descriptor_layout(Op.ATTEND))
        ``pitch`` and ``chunks``.
    rows : In(stream.Signature(signed(12)))
        m of each row that lies in the similarity memory; taken when the row has been read for the last time.
    room : In(1)
        The results of one chunk more can be taken in the next cycle, if none begins in this one.
    begins : Out(1)
        A chunk begins.
    similarity, value : Out(ReadPort)
        z, and rows of P values s8, row = rank * pitch + chunk.
    o : Out(stream.Signature(mixed_layout(config), always_ready=True))
        Results in head, row, chunk order, at least P cycles apart.
    """

    def __init__(self, config: CoreConfig, value_rows: int, slots: int) -> None:
        self._config, self._slots = config, slots
        self._rank_bits = Shape.cast(range(config.max_topk)).width
        super().__init__(
            {
                "start": In(1),
                "layer": In(descriptor_layout(Op.ATTEND)),
                "topk": In(range(config.max_topk + 1)),
                "rows": In(stream.Signature(signed(config.score_bits))),
                "room": In(1),
                "begins": Out(1),
                "similarity": Out(ReadPort(slots << self._rank_bits, config.score_bits)),
                "value": Out(ReadPort(value_rows, config.lanes * config.weight_bits)),
                "o": Out(stream.Signature(mixed_layout(config), always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        item = data.StructLayout({"valid": 1, "first": 1, "last": 1})
        issued, value_row = self._issue(m, item)

        z = Signal(signed(config.score_bits), reset_less=True)
        top = delay(m, self.rows.payload, 2)
        distance = Signal(config.score_bits, reset_less=True)
        places = Signal(4, reset_less=True)
        fraction = Signal(range(EXP_TABLE[0] + 1), reset_less=True)
        weight = Signal.like(fraction)
        whole = distance[4:]
        m.d.sync += [
            z.eq(self.similarity.data.as_signed()),
            distance.eq(top - z),
            fraction.eq(Array(EXP_TABLE)[distance[:4]]),
            places.eq(Mux(whole >= 15, 15, whole)),
            weight.eq(fraction >> places),
        ]

        fetched = data.View(item, delay(m, issued, 3))
        m.d.comb += [
            self.value.en.eq(fetched.valid),
            self.value.addr.eq(delay(m, value_row, 3)),
        ]
        # A register beside the memory, one beside the multipliers.
        lanes = data.ArrayLayout(signed(8), config.lanes)
        fetched_values = Signal(lanes, reset_less=True)
        values = Signal(lanes, reset_less=True)
        factor = delay(m, weight, 1)
        products = Signal(data.ArrayLayout(signed(len(weight) + 8), config.lanes), reset_less=True)
        mixed = Signal(mixed_layout(config), reset_less=True)
        m.d.comb += self.o.payload.eq(mixed)
        weighed = data.View(item, delay(m, fetched, 4))
        addend = delay(m, factor, 1)
        sums, total = mixed.sums, mixed.total
        m.d.sync += [
            fetched_values.eq(self.value.data),
            values.eq(fetched_values),
            *(products[lane].eq(values[lane] * factor) for lane in range(config.lanes)),
            self.o.valid.eq(weighed.valid & weighed.last),
        ]
        with m.If(weighed.valid):
            m.d.sync += total.eq(Mux(weighed.first, 0, total) + addend)
            m.d.sync += [
                sums[lane].eq(Mux(weighed.first, 0, sums[lane]) + products[lane])
                for lane in range(config.lanes)
            ]
        return m

    def _issue(self, m: Module, item: data.StructLayout) -> tuple[data.View, Signal]:
        """Walk over chunks and keys of each ready row, one similarity a cycle; the value row it weighs."""
        layer = self.layer
        last_rank = Signal(self._rank_bits)
        row = Signal(self._rank_bits)
        column = Signal(self._rank_bits)
        chunk = Signal.like(layer.chunks)
        slot = Signal(range(self._slots))
        value_row = Signal.like(self.value.addr)
        issue = Signal()
        chunk_step = Signal()
        row_step = Signal()
        head_ends = Signal()
        first = Signal(init=1)
        may_begin = Signal()
        pause = Signal(range(self._config.lanes))
        paused = Signal()
        head = walk_heads(m, layer, self.start, head_ends)
        column_ends = last_of(m, column, last_rank, issue, last_rank == 0)
        row_ends = last_of(m, row, last_rank, row_step, last_rank == 0)
        single = Mux(row_ends, head.next_single, head.last_chunk == 0)
        chunk_ends = last_of(m, chunk, head.last_chunk, chunk_step, single)
        ends = delay(m, chunk_ends & row_ends, 1)  # chunks end at least two cycles apart
        m.d.comb += [
            issue.eq(self.rows.valid & (~first | may_begin)),
            self.begins.eq(issue & first),
            chunk_step.eq(issue & column_ends),
            row_step.eq(issue & (column_ends & chunk_ends)),
            head_ends.eq(issue & (column_ends & ends)),
            self.similarity.en.eq(issue),
            self.similarity.addr.eq(Cat(column, slot)),
            self.rows.ready.eq(issue & column_ends & chunk_ends),
        ]
        with m.If(self.start):
            m.d.sync += [
                last_rank.eq(self.topk - 1),
                column_ends.eq(self.topk == 1),
                row_ends.eq(self.topk == 1),
                chunk_ends.eq(layer.chunks == 1),
                row.eq(0),
                value_row.eq(0),
            ]
        m.d.sync += may_begin.eq(~self.begins & self.room & (~paused | (pause == 1)))
        with m.If(self.begins):
            m.d.sync += [pause.eq(self._config.lanes - 1), paused.eq(1)]
        with m.Elif(paused):
            m.d.sync += [pause.eq(pause - 1), paused.eq(pause != 1)]
        with m.If(issue):
            m.d.sync += [column.eq(column + 1), first.eq(column_ends), value_row.eq(value_row + layer.pitch)]
            with m.If(column_ends):
                m.d.sync += [column.eq(0), chunk.eq(chunk + 1), value_row.eq(head.base + chunk + 1)]
                with m.If(chunk_ends):
                    m.d.sync += [chunk.eq(0), value_row.eq(head.base), slot.eq(slot + 1), row.eq(row + 1)]
        with m.If(head_ends):
            m.d.sync += [row.eq(0), value_row.eq(head.following)]
        issued = Signal(item)
        m.d.comb += [issued.valid.eq(issue), issued.first.eq(first), issued.last.eq(column_ends)]
        return issued, value_row
