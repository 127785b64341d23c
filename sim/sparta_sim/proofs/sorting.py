"""The sorter's cells by induction: in order after any number of tokens, for any keys and gaps."""

from functools import reduce
from operator import add

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, Value

from sparta_rtl.topk import TopKParams, TopKUnit, offset_binary
from sparta_rtl.topk_sorter import TopKSorter
from sparta_sim.proofs.contract import Contract

__all__ = ["CellsContract"]


class CellsContract(Contract):
    """The token that r others are ahead of is in cell r, and no other is.

    One token, any of them, is watched: ``ahead`` counts those that rank before it. The invariant: cells are in order,
    the first ``ahead`` of them rank before the watched token, and it is in the next one.

    Parameters
    ----------
    cells, tokens, key_bits : int
        Largest K, largest N, and bits of a key.
    sorter : type
        What is proven.
    """

    def __init__(self, cells: int, tokens: int, key_bits: int, sorter: type[TopKUnit] = TopKSorter) -> None:
        super().__init__()
        self._params = TopKParams(tokens=tokens, cells=cells, key_bits=key_bits)
        self._sorter = sorter
        self._valid, self._key = self.free(1, "valid"), self.free(key_bits, "key")
        self._watched, self._watched_key = (
            self.constant(range(tokens), "watched"),
            self.constant(key_bits, "watched_key"),
        )
        width = self._params.index_bits + key_bits
        self._came, self._entering = self.spy(self._params.index_bits, "unit.came"), self.spy(1, "unit.valid")
        self._token = self.spy(width, "unit.token")
        self._held = [self.spy(width, f"unit.held{rank}") for rank in range(cells)]
        self._full = [self.spy(1, f"unit.full{rank}") for rank in range(cells)]

    def elaborate(self, platform: object) -> Module:
        m = self.begin()
        params, index_bits = self._params, self._params.index_bits
        m.submodules.unit = unit = self._sorter(params)
        came, inside, ahead = (Signal(range(params.tokens + 1)) for _ in range(3))
        m.d.comb += [
            unit.i.valid.eq(self._valid),
            unit.i.payload.eq(self._key),
            inside.eq(came - self._entering),
            Assume(~self._valid | (came < params.tokens)),
            Assume(~self._valid | (came != self._watched) | (self._key == self._watched_key)),
        ]
        m.d.sync += came.eq(came + self._valid)

        def before(one: Value, other: Value) -> Value:
            """Whether a token ranks before another one."""
            above, equal = one[index_bits:] > other[index_bits:], one[index_bits:] == other[index_bits:]
            return above | (equal & (one[:index_bits] < other[:index_bits]))

        watched = Cat(self._watched, offset_binary(self._watched_key))
        with m.If(self._entering):
            m.d.sync += ahead.eq(ahead + before(self._token, watched))
            m.d.comb += [
                Assert(self._token[:index_bits] == inside),
                Assert((inside != self._watched) | (self._token == watched)),
            ]
        m.d.comb += [
            Assert(came <= params.tokens),
            Assert(self._came == came[:index_bits]),
            Assert(ahead <= inside),
        ]

        leading = []
        for rank, (held, full) in enumerate(zip(self._held, self._full, strict=True)):
            leading.append(full & before(held, watched))
            m.d.comb += [
                Assert(full == (inside > rank)),
                Assert(~full | (held[:index_bits] < inside)),
                Assert(~full | (held[:index_bits] != self._watched) | ((held == watched) & (ahead == rank))),
                Assert((inside <= self._watched) | (ahead != rank) | (full & (held == watched))),
                Assert(unit.ranked[rank] == held[:index_bits]),
            ]
            if rank:
                m.d.comb += Assert(~full | before(self._held[rank - 1], held))
        m.d.comb += Assert(reduce(add, leading) == Mux(ahead < params.cells, ahead, params.cells))
        return m
