"""Top-K selection by a sorter: a row of cells that is in order after each token."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Out

from sparta_rtl.topk import TopKParams, TopKUnit, offset_binary

__all__ = ["RANKED_CYCLES", "TopKSorter"]

RANKED_CYCLES = 2
"""From the last token to ``ranked``."""

_BLOCK_BITS = 4
_BLOCK = 1 << _BLOCK_BITS
"""Ranks that are read through one multiplexer, before the one over the blocks."""


class TopKSorter(TopKUnit):
    """Keeps the best tokens in rank order, and lists them in that order.

    Cell r holds the token of rank r. All cells compare a new token with their own; those that hold a smaller one, or
    none, move up: the first of them takes the new token, the others that of their neighbour. Only smaller tokens
    give way and indices ascend, so equal keys rank by lower index.

    Parameters
    ----------
    params : TopKParams
        ``cells`` is the number of cells.

    Members
    -------
    clear, i, emit, count, o
        See :class:`~sparta_rtl.topk.TopKUnit`: selected tokens come in rank order.
    ranked : Out(data.ArrayLayout(index_bits, cells))
        Index of each rank at once, 2 cycles after the last token.
    """

    ranked: data.View

    def __init__(self, params: TopKParams) -> None:
        super().__init__(params, {"ranked": Out(data.ArrayLayout(params.index_bits, params.cells))})

    @staticmethod
    def first_cycles(params: TopKParams, tokens: int, count: int) -> int:
        """4, whatever there is to sort."""
        return 4

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cells, index_bits = self.params.cells, self.params.index_bits
        cell = data.StructLayout({"index": index_bits, "key": self.params.key_bits})
        came = Signal(index_bits)
        valid = Signal()
        token = Signal(cell, reset_less=True)
        m.d.sync += [
            came.eq(Mux(self.clear, 0, came + self.i.valid)),
            valid.eq(self.i.valid & ~self.clear),
            token.index.eq(came),
            token.key.eq(offset_binary(self.i.payload)),
        ]

        # An empty cell is below every token.
        before, before_full, passed = token, Const(1), Const(0)
        for rank in range(cells):
            held, full = Signal(cell, name=f"held{rank}", reset_less=True), Signal(name=f"full{rank}")
            below = Signal(name=f"below{rank}")
            m.d.comb += [
                below.eq(Cat(held.key, full) < Cat(token.key, 1)),
                self.ranked[rank].eq(held.index),
            ]
            with m.If(valid & below):
                m.d.sync += [held.eq(Mux(passed, before, token)), full.eq(~passed | before_full)]
            with m.If(self.clear):
                m.d.sync += full.eq(0)
            before, before_full, passed = held, full, below

        # A rank: counted down -> looked up in each block of cells -> found in its own -> o.
        left = Signal.like(self.count)
        rank = Signal(range(cells))
        with m.If(self.emit):
            m.d.sync += [rank.eq(0), left.eq(self.count)]
        with m.Elif(left != 0):
            m.d.sync += [rank.eq(rank + 1), left.eq(left - 1)]
        with m.If(self.clear):
            m.d.sync += left.eq(0)
        tag = data.StructLayout({"valid": 1, "last": 1, "rank": range(cells)})
        looked_up = Signal(tag)
        found = Signal(tag)
        m.d.sync += [
            looked_up.eq(Cat((left != 0) & ~self.clear, left == 1, rank)),
            found.eq(looked_up),
            found.valid.eq(looked_up.valid & ~self.clear),
            self.o.valid.eq(found.valid & ~self.clear),
            self.o.payload.last.eq(found.last),
            self.o.payload.rank.eq(found.rank),
        ]
        in_block = []
        for start in range(0, cells, _BLOCK):
            index = Signal(index_bits, name=f"index{start}")
            block = Cat(self.ranked[rank] for rank in range(start, min(start + _BLOCK, cells)))
            m.d.sync += index.eq(block.word_select(looked_up.rank[:_BLOCK_BITS], index_bits))
            in_block.append(index)
        m.d.sync += self.o.payload.index.eq(Cat(in_block).word_select(found.rank[_BLOCK_BITS:], index_bits))
        return m
