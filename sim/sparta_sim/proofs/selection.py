"""The top-K sorter: order, maxima and ties."""

from functools import reduce
from operator import add

from amaranth.hdl import Assert, Assume, Module, Signal, Value

from sparta_rtl.topk import TopKParams, TopKSorter
from sparta_sim.proofs.contract import Contract

__all__ = ["SorterContract"]


class SorterContract(Contract):
    """Rank r is the token that r others beat: by a larger key, or an equal one and a lower index.

    Tokens come in any cycles, results are asked for with the last one or in any cycle after it.

    Parameters
    ----------
    cells, tokens, key_bits : int
        Largest K, N, and bits of a key.
    sorter : type
        What is proven.
    """

    def __init__(self, cells: int, tokens: int, key_bits: int, sorter: type[TopKSorter] = TopKSorter) -> None:
        super().__init__()
        self._params = TopKParams(cells=cells, key_bits=key_bits, index_bits=(tokens - 1).bit_length())
        self._sorter, self._tokens = sorter, tokens
        self._valid, self._emit = self.free(1, "valid"), self.free(1, "emit")
        self._keys = [self.constant(key_bits, f"key{n}") for n in range(tokens)]
        self._count = self.constant(range(cells + 1), "count")

    def elaborate(self, platform: object) -> Module:
        m = self.begin()
        tokens, keys = self._tokens, [key.as_signed() for key in self._keys]
        m.submodules.sorter = sorter = self._sorter(self._params)
        came, asked, emitted = Signal(range(tokens + 1)), Signal(), Signal(range(self._params.cells + 1))
        m.d.comb += [
            sorter.i.valid.eq(self._valid),
            sorter.i.payload.key.eq(self._key_of(m, keys, came)),
            sorter.i.payload.index.eq(came),
            sorter.emit.eq(self._emit),
            sorter.count.eq(self._count),
            Assume((self._count >= 1) & (self._count <= min(tokens, self._params.cells))),
            Assume(~self._valid | (came < tokens)),
            Assume(~self._emit | (~asked & (came + self._valid == tokens))),
        ]
        m.d.sync += [came.eq(came + self._valid), asked.eq(asked | self._emit)]
        o = sorter.o.payload
        with m.If(sorter.o.valid):
            m.d.sync += emitted.eq(emitted + 1)
            m.d.comb += [
                Assert(asked),
                Assert(o.rank == emitted),
                Assert(o.last == (emitted + 1 == self._count)),
                Assert(o.token.index < tokens),
            ]
            for n, key in enumerate(keys):
                beaten_by = reduce(
                    add,
                    ((other > key) | ((other == key) & (i < n)) for i, other in enumerate(keys) if i != n),
                )
                with m.If(o.token.index == n):
                    m.d.comb += [Assert(beaten_by == o.rank), Assert(o.token.key == key)]
        return m

    def _key_of(self, m: Module, keys: list[Value], number: Signal) -> Signal:
        key = Signal(self._params.token_layout["key"].shape)
        with m.Switch(number):
            for n, value in enumerate(keys):
                with m.Case(n):
                    m.d.comb += key.eq(value)
        return key
