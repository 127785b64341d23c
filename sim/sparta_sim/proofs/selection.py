"""Top-K selection: maxima, ties, order and cycles of both units."""

from abc import abstractmethod
from functools import reduce
from operator import add

from amaranth.hdl import Assert, Assume, Module, Signal, Value

from sparta_rtl.topk import TopKParams, TopKUnit
from sparta_rtl.topk_radix import TopKRadix
from sparta_rtl.topk_sorter import TopKSorter
from sparta_sim.proofs.contract import Contract

__all__ = ["RadixContract", "SorterContract"]


class SelectionContract(Contract):
    """K different tokens are listed, in the promised cycles; subclasses say which.

    Results are asked for with the last token or in any cycle after it. Of a token, others that have a larger key, or an
    equal one and a lower index, are ahead.

    Parameters
    ----------
    unit : type
        What is proven.
    cells, tokens, key_bits : int
        Largest K, N, and bits of a key.
    gaps : bool
        Tokens come in any cycles; else one a cycle, and results are asked for at once.
    """

    def __init__(self, unit: type[TopKUnit], cells: int, tokens: int, key_bits: int, gaps: bool) -> None:
        super().__init__()
        self._gaps = gaps
        self._params = TopKParams(tokens=tokens, cells=cells, key_bits=key_bits)
        self._unit = unit
        self._valid, self._emit = self.free(1, "valid"), self.free(1, "emit")
        self._keys = [self.constant(key_bits, f"key{n}") for n in range(tokens)]
        self._count = self.constant(range(cells + 1), "count")

    @abstractmethod
    def check(self, m: Module, ahead: Value, listed: Value, index: Value, before: Value) -> None:
        """Assert what holds of the ``listed``-th token: its index, that of the one before, how many are ahead of it."""

    def elaborate(self, platform: object) -> Module:
        m = self.begin()
        params, keys = self._params, [key.as_signed() for key in self._keys]
        m.submodules.unit = unit = self._unit(params)
        came, asked = Signal(range(params.tokens + 1)), Signal()
        m.d.comb += [
            unit.i.valid.eq(self._valid),
            unit.i.payload.eq(self._key_of(m, keys, came)),
            unit.emit.eq(self._emit),
            unit.count.eq(self._count),
            Assume((self._count >= 1) & (self._count <= params.cells)),
            Assume(~self._valid | (came < params.tokens)),
            Assume(~self._emit | (~asked & (came + self._valid == params.tokens))),
        ]
        if not self._gaps:
            m.d.comb += Assume(self._valid == (came < params.tokens))
            m.d.comb += Assume(self._emit == (self._valid & (came == params.tokens - 1)))
        m.d.sync += [came.eq(came + self._valid), asked.eq(asked | self._emit)]

        cycles, listed, before = Signal(6), Signal(range(params.cells + 1)), Signal(params.index_bits)
        with m.If(asked):
            m.d.sync += cycles.eq(cycles + 1)
        for count in range(1, params.cells + 1):
            first = self._unit.first_cycles(params, params.tokens, count) - 1
            with m.If(self._count == count):
                expected = asked & (cycles >= first) & (cycles < first + count)
                m.d.comb += Assert(unit.o.valid == expected)
        o = unit.o.payload
        with m.If(unit.o.valid):
            m.d.sync += [listed.eq(listed + 1), before.eq(o.index)]
            m.d.comb += [
                Assert(o.rank == listed),
                Assert(o.last == (listed + 1 == self._count)),
                Assert(o.index < params.tokens),
            ]
            for n, key in enumerate(keys):
                others = [
                    (other > key) | ((other == key) & (i < n)) for i, other in enumerate(keys) if i != n
                ]
                with m.If(o.index == n):
                    self.check(m, reduce(add, others), listed, o.index, before)
        return m

    def _key_of(self, m: Module, keys: list[Value], number: Signal) -> Signal:
        key = Signal.like(keys[0])
        with m.Switch(number):
            for n, value in enumerate(keys):
                with m.Case(n):
                    m.d.comb += key.eq(value)
        return key


class SorterContract(SelectionContract):
    """The n-th token listed is the one that n others are ahead of."""

    def __init__(self, cells: int, tokens: int, key_bits: int, unit: type[TopKUnit] = TopKSorter) -> None:
        super().__init__(unit, cells, tokens, key_bits, gaps=True)

    def check(self, m: Module, ahead: Value, listed: Value, index: Value, before: Value) -> None:
        m.d.comb += Assert(ahead == listed)


class RadixContract(SelectionContract):
    """Fewer than K others are ahead of each token listed, and indices ascend."""

    def __init__(self, cells: int, tokens: int, key_bits: int, unit: type[TopKUnit] = TopKRadix) -> None:
        super().__init__(unit, cells, tokens, key_bits, gaps=False)

    def check(self, m: Module, ahead: Value, listed: Value, index: Value, before: Value) -> None:
        m.d.comb += [Assert(ahead < self._count), Assert((listed == 0) | (index > before))]
