"""Top-K selection by radix: the K best tokens of a stream in the order of their indices."""

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring

from sparta_hw.numerics import unsigned_bits
from sparta_rtl.digit_tree import RADIX, RADIX_BITS, READ_CYCLES, DigitTree
from sparta_rtl.topk import TopKParams, TopKUnit, offset_binary
from sparta_rtl.topk_rows import LANES, LIST_CYCLES, SelectedRows

__all__ = ["TopKRadix", "digit_levels"]

_LEVEL_CYCLES = READ_CYCLES + 1
"""Cycles of the search in one level: read the counts, decide."""


def digit_levels(params: TopKParams) -> int:
    """Digits of a key, and levels of the tree."""
    return -(-params.key_bits // RADIX_BITS)


class TopKRadix(TopKUnit):
    """Finds the K-th largest key digit by digit, and lists the tokens that are not below it, by index.

    A tree counts the keys as they come: the row of a prefix (:class:`~sparta_rtl.digit_tree.DigitCounts`) tells how
    many keys have at least which digit after it. The search walks from the root to a leaf: in each row it takes
    the largest digit that K keys reach, and goes on there with what is left of K when the larger ones are taken. Of
    the tokens with the key that it ends at, as many as are left of K are selected, by lower index.

    Parameters
    ----------
    params : TopKParams

    Members
    -------
    clear, i, emit, count, o
        See :class:`~sparta_rtl.topk.TopKUnit`: selected tokens come in order of index, and ``rank`` counts them.
    """

    @staticmethod
    def first_cycles(params: TopKParams, tokens: int, count: int) -> int:
        """``4 * ceil(key_bits / 2) + (N - K) // 4 + 8``."""
        levels = digit_levels(params)
        return _LEVEL_CYCLES * levels + (tokens - count) // LANES + LIST_CYCLES - 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tokens, levels = self.params.tokens, digit_levels(self.params)
        m.submodules.tree = tree = DigitTree(tokens, levels)
        m.submodules.rows = rows = SelectedRows(self.params, RADIX_BITS * levels)
        m.d.comb += [
            tree.clear.eq(self.clear),
            tree.valid.eq(self.i.valid),
            tree.key.eq(offset_binary(self.i.payload)),
            rows.clear.eq(self.clear),
        ]
        m.d.sync += [rows.valid.eq(tree.valid & ~self.clear), rows.key.eq(tree.key)]

        # One level of the tree after the other: read the counts of the digits found so far, decide on one more.
        level = Signal(range(levels))
        digits = Signal.like(tree.key)
        asks = Signal()
        last = Signal()
        reading = Signal(READ_CYCLES)
        count = Signal.like(self.count)
        decide = reading[-1]
        m.d.comb += [
            last.eq(level == levels - 1),
            tree.read.eq(asks),
            tree.level.eq(level),
            tree.prefix.eq(digits),
        ]
        m.d.sync += [asks.eq(decide & ~last), reading.eq(Cat(self.emit | asks, reading))]
        with m.If(self.clear):
            m.d.sync += [asks.eq(0), reading.eq(0)]

        # K - 1 tokens rank before the last one: "ahead" are those whose keys begin with the digits found so far. Where
        # the keys with one more digit, or a larger one, are more than these, the last token is among them.
        ahead = Signal(signed(unsigned_bits(tokens) + 1))
        without = [ahead - more for more in tree.at_least]
        with m.If(self.emit):
            m.d.sync += [level.eq(0), count.eq(self.count), ahead.eq(self.count - 1)]
        with m.Elif(decide):
            m.d.sync += [level.eq(level + 1), digits.eq(Cat(Const(0, RADIX_BITS), digits))]
            for digit in range(RADIX):
                with m.If(without[digit - 1] < 0 if digit else Const(1)):
                    m.d.sync += digits[:RADIX_BITS].eq(digit)
                    m.d.sync += ahead.eq(without[digit] if digit < RADIX - 1 else ahead)
        m.d.comb += [
            rows.start.eq(decide & last),
            rows.count.eq(count),
            rows.threshold.eq(digits),
            rows.ties.eq(ahead),
        ]
        wiring.connect(m, rows.o, wiring.flipped(self.o))
        return m
