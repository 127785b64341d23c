"""First half of sparse attention: the row of masked similarities of one query with all keys."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_hw.numerics import signed_bits
from sparta_rtl.heads import walk_heads
from sparta_rtl.layouts import descriptor_layout, mask_layout
from sparta_rtl.memory import BlockRam, ReadPort, WritePort
from sparta_rtl.pipeline import adder_tree, delay, last_of, saturate

__all__ = ["SimilarityPass"]


class SimilarityPass(wiring.Component):
    """Similarities of the selected tokens, head by head and query by query, on P multipliers::

        z[i, j] = sat_s12(((sat_s12((sum_e q[i, e] * k[j, e]) >> shift) * g[i]) >> 6) + mask[j])        s12.4
        m[i]    = max_j z[i, j]

    (paper MSP: the token score is an additive mask; SC: urgent tokens attend more sharply, g is u8.6). Rows are
    written to the slots of the similarity memory in turn, address ``Cat(j, slot)``; then the row's maximum
    appears on ``rows``. The next row follows without a gap when a slot is free, so a row costs K * chunks cycles.

    Heads follow one another in the same way. The sharpness of all tokens passes by while row 0 of a head is
    compared, and is kept for the rows after it.

    Parameters
    ----------
    config : CoreConfig
        Size of the core.
    value_rows : int
        Depth of the query and key memories.
    slots : int
        Rows that the similarity memory holds, a power of two.

    Members
    -------
    start : In(1)
        Begin with query 0 of the first head; ``layer`` and ``topk`` are stable from here to the last row.
    layer : In(descriptor_layout(Op.ATTEND))
        ``pitch``, ``chunks`` and ``shift``.
    topk : In(range(max_topk + 1))
        K.
    masks : Out(ReadPort(max_topk, mask_layout(config).size))
        Token list, rank -> mask and sharpness.
    query, key : Out(ReadPort)
        Rows of P features s8, row = rank * pitch + chunk.
    similarity : Out(WritePort)
        Similarity memory.
    rows : Out(stream.Signature(signed(12)))
        Maximum of each finished row. Always taken: the receiver has room for ``slots`` of them.
    freed : In(1)
        The oldest row has been read for the last time.
    """

    def __init__(self, config: CoreConfig, value_rows: int, slots: int) -> None:
        self._config, self._slots = config, slots
        self._rank_bits = Shape.cast(range(config.max_topk)).width
        token = ReadPort(value_rows, config.lanes * config.weight_bits)
        super().__init__(
            {
                "start": In(1),
                "layer": In(descriptor_layout(Op.ATTEND)),
                "topk": In(range(config.max_topk + 1)),
                "masks": Out(ReadPort(config.max_topk, mask_layout(config).size)),
                "query": Out(token),
                "key": Out(token),
                "similarity": Out(WritePort(self.similarity_rows, config.score_bits)),
                "rows": Out(stream.Signature(signed(config.score_bits), always_ready=True)),
                "freed": In(1),
            }
        )

    @property
    def similarity_rows(self) -> int:
        """Depth of the similarity memory."""
        return self._slots << self._rank_bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        item = data.StructLayout(
            {
                "valid": 1,
                "first_chunk": 1,
                "last_chunk": 1,
                "last_column": 1,
                "row": self._rank_bits,
                "column": self._rank_bits,
                "slot": range(self._slots),
            }
        )
        issued = self._issue(m, item)

        # A register beside the memories, one beside the multipliers.
        lanes = data.ArrayLayout(signed(8), config.lanes)
        fetched_query = Signal(lanes, reset_less=True)
        fetched_key = Signal(lanes, reset_less=True)
        query = Signal(lanes, reset_less=True)
        key = Signal(lanes, reset_less=True)
        products = [
            Signal(signed(16), name=f"product_{lane}", reset_less=True) for lane in range(config.lanes)
        ]
        m.d.sync += [fetched_query.eq(self.query.data), fetched_key.eq(self.key.data)]
        m.d.sync += [query.eq(fetched_query), key.eq(fetched_key)]
        m.d.sync += [products[lane].eq(query[lane] * key[lane]) for lane in range(config.lanes)]
        partial, tree_cycles = adder_tree(m, products)
        summed = data.View(item, delay(m, issued, 4 + tree_cycles))

        listed = data.View(mask_layout(config), self.masks.data)
        m.d.comb += [self.masks.en.eq(summed.valid), self.masks.addr.eq(summed.column)]
        sharpness = self._sharpness(m, item, summed, listed.sharpness)

        # summed -> dot -> shifted -> clipped -> sharpened -> masked -> z
        dot = Signal(signed(signed_bits(0, config.max_features * 2 * (1 << 14))), reset_less=True)
        shifted = Signal.like(dot)
        clipped = Signal(signed(config.score_bits), reset_less=True)
        sharpened = Signal(signed(config.score_bits + config.gain_bits), reset_less=True)
        masked = Signal(signed(config.score_bits + 3), reset_less=True)
        z = Signal(signed(config.score_bits), reset_less=True)
        with m.If(summed.valid):
            m.d.sync += dot.eq(Mux(summed.first_chunk, 0, dot) + partial)
        m.d.sync += [
            shifted.eq(dot >> self.layer.shift),
            clipped.eq(saturate(shifted, config.score_bits)),
            sharpened.eq(clipped * sharpness),
            masked.eq((sharpened >> config.gain_frac) + delay(m, listed.mask, 3)),
            z.eq(saturate(masked, config.score_bits)),
        ]
        stored = data.View(item, delay(m, summed, 6))

        best = Signal.like(z)
        maximum = Signal.like(z)
        write = stored.valid & stored.last_chunk
        m.d.comb += [
            self.similarity.en.eq(write),
            self.similarity.addr.eq(Cat(stored.column, stored.slot)),
            self.similarity.data.eq(z),
            maximum.eq(Mux((stored.column == 0) | (z > best), z, best)),
            self.rows.valid.eq(write & stored.last_column),
            self.rows.payload.eq(maximum),
        ]
        with m.If(write):
            m.d.sync += best.eq(maximum)
        return m

    def _sharpness(self, m: Module, item: data.StructLayout, summed: data.View, passing: Signal) -> Signal:
        """Sharpness of the row in progress, three cycles behind ``summed``."""
        config = self._config
        m.submodules.sharpness = kept = BlockRam(config.max_topk, config.gain_bits)
        read = data.View(item, delay(m, summed, 1))
        found = data.View(item, delay(m, summed, 2))
        sharpness = Signal(config.gain_bits)
        passed = delay(m, passing, 1)
        m.d.comb += [
            kept.write.en.eq(read.valid & (read.row == 0)),
            kept.write.addr.eq(read.column),
            kept.write.data.eq(passing),
            kept.read.en.eq(read.valid & (read.column == 0) & (read.row != 0)),
            kept.read.addr.eq(read.row),
        ]
        with m.If(found.valid & (found.column == 0)):
            m.d.sync += sharpness.eq(Mux(found.row == 0, passed, kept.read.data))
        return sharpness

    def _issue(self, m: Module, item: data.StructLayout) -> data.View:
        """Walk over queries, keys and chunks, one pair of memory rows a cycle."""
        layer = self.layer
        last_rank = Signal(self._rank_bits)
        row = Signal(self._rank_bits)
        column = Signal(self._rank_bits)
        chunk = Signal.like(layer.chunks)
        query_row = Signal.like(self.query.addr)
        query_base = Signal.like(self.query.addr)
        key_row = Signal.like(self.key.addr)
        key_base = Signal.like(self.key.addr)
        active = Signal()
        slot = Signal(range(self._slots))
        used = Signal(range(self._slots + 1))
        begins = Signal(init=1)
        issue = Signal()
        full = Signal()
        column_step = Signal()
        row_step = Signal()
        head_ends = Signal()
        used_next = Signal.like(used)
        pause = Signal()
        head = walk_heads(m, layer, self.start, head_ends)
        column_ends = last_of(m, column, last_rank, column_step, last_rank == 0)
        row_ends = last_of(m, row, last_rank, row_step, last_rank == 0)
        single = Mux(column_ends & row_ends, head.next_single, head.last_chunk == 0)
        chunk_ends = last_of(m, chunk, head.last_chunk, issue, single)
        m.d.comb += [
            issue.eq(active & ~pause & (~begins | ~full)),
            column_step.eq(issue & chunk_ends),
            row_step.eq(issue & (chunk_ends & column_ends)),
            head_ends.eq(issue & (chunk_ends & column_ends & row_ends)),
            used_next.eq(used + (issue & begins) - self.freed),
            self.query.en.eq(issue),
            self.query.addr.eq(query_row),
            self.key.en.eq(issue),
            self.key.addr.eq(key_row),
        ]
        m.d.sync += [
            used.eq(used_next),
            full.eq(used_next == self._slots),
            pause.eq(head_ends & (last_rank == 0)),
        ]
        with m.If(issue):
            m.d.sync += begins.eq(chunk_ends & column_ends)
            m.d.sync += [query_row.eq(query_row + 1), key_row.eq(key_row + 1), chunk.eq(chunk + 1)]
            with m.If(chunk_ends):
                m.d.sync += [
                    chunk.eq(0),
                    column.eq(column + 1),
                    query_row.eq(query_base),
                    key_row.eq(key_base + layer.pitch),
                    key_base.eq(key_base + layer.pitch),
                ]
                with m.If(column_ends):
                    m.d.sync += [
                        column.eq(0),
                        key_row.eq(head.base),
                        key_base.eq(head.base),
                        query_row.eq(query_base + layer.pitch),
                        query_base.eq(query_base + layer.pitch),
                        slot.eq(slot + 1),
                        row.eq(row + 1),
                    ]
        with m.If(head_ends):
            m.d.sync += [
                row.eq(0),
                query_row.eq(head.following),
                query_base.eq(head.following),
                key_row.eq(head.following),
                key_base.eq(head.following),
                active.eq(~head.last),
            ]
        with m.If(self.start):
            m.d.sync += [
                last_rank.eq(self.topk - 1),
                chunk_ends.eq(layer.chunks == 1),
                column_ends.eq(self.topk == 1),
                row_ends.eq(self.topk == 1),
                row.eq(0),
                query_row.eq(0),
                query_base.eq(0),
                key_row.eq(0),
                key_base.eq(0),
                active.eq(1),
            ]
        issued = Signal(item)
        m.d.comb += [
            issued.valid.eq(issue),
            issued.first_chunk.eq(chunk == 0),
            issued.last_chunk.eq(chunk_ends),
            issued.last_column.eq(column_ends),
            issued.row.eq(row),
            issued.column.eq(column),
            issued.slot.eq(slot),
        ]
        return issued
