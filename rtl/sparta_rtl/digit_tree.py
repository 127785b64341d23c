"""Counts of a radix selection: how many keys of each prefix go on with which digit."""

from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_rtl.memory import BlockRam

__all__ = ["RADIX", "RADIX_BITS", "READ_CYCLES", "DigitCounts", "DigitTree", "counts_layout"]

RADIX_BITS = 2
RADIX = 1 << RADIX_BITS

READ_CYCLES = 3
"""From ``read`` of the tree to ``at_least``."""


def counts_layout(tokens: int) -> data.StructLayout:
    """``at_least[d - 1]``: number of keys with digit d or more, d = 1 .. 3; ``seen``: bit d, some key has digit d."""
    return data.StructLayout({"at_least": data.ArrayLayout(range(tokens + 1), RADIX - 1), "seen": RADIX})


def _counted(m: Module, row: data.View, digit: Signal) -> data.View:
    """The row with one key more."""
    more = Signal.like(row)
    m.d.comb += more.seen.eq(row.seen | (1 << digit))
    for low, (before, after) in enumerate(zip(row.at_least, more.at_least, strict=True), 1):
        m.d.comb += after.eq(before + (digit >= low))
    return more


class DigitCounts(wiring.Component):
    """A level of the tree: a row of counts for each prefix of ``level`` digits. Counts a key a cycle, or reads a row.

    Nothing is ever cleared: the first key of a sort with a prefix is ``new`` here, because the level above has not seen
    its last digit yet, and a new row counts from zero.

    Parameters
    ----------
    tokens : int
        Largest number of keys, at least 1.
    level : int
        Digits of a prefix, at least 1.

    Members
    -------
    valid, prefix : In(1), In(2 * level)
        A key's prefix, most significant digit first.
    new : In(1)
        One cycle later: no key has had this prefix.
    digit : In(2)
        Two cycles later: the key's next digit.
    untouched : Out(1)
        Two cycles later: no key has had that digit after this prefix.
    read : In(1)
        Read the row of ``prefix``, whose keys have all been counted; not together with ``valid``.
    row : Out(counts_layout(tokens))
        Two cycles later: the row before the key was counted.
    """

    valid: Signal
    prefix: Signal
    new: Signal
    digit: Signal
    untouched: Signal
    read: Signal
    row: data.View

    def __init__(self, tokens: int, level: int) -> None:
        super().__init__(
            {
                "valid": In(1),
                "prefix": In(RADIX_BITS * level),
                "new": In(1),
                "digit": In(RADIX_BITS),
                "untouched": Out(1),
                "read": In(1),
                "row": Out(counts_layout(tokens)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rows = rows = BlockRam(1 << len(self.prefix), self.row.shape().size)

        # A key: asked (read its row) -> fetched (or what the two keys before it leave there) -> row + 1 -> written.
        asked = Signal()
        counting = Signal()
        written = Signal()
        prefixes = [self.prefix, *(Signal.like(self.prefix, name=f"prefix_{n}") for n in range(1, 4))]
        like_next = Signal()
        like_second = Signal()
        being_written = Signal()
        left = Signal.like(self.row)
        more = _counted(m, self.row, self.digit)
        for before, after in pairwise(prefixes):
            m.d.sync += after.eq(before)
        m.d.sync += [
            asked.eq(self.valid),
            counting.eq(asked),
            written.eq(counting),
            left.eq(more),
            like_next.eq(self.valid & asked & (self.prefix == prefixes[1])),
            like_second.eq(being_written),
        ]
        fetched = Mux(like_next, more.as_value(), Mux(like_second, left.as_value(), rows.read.data))
        m.d.sync += self.row.eq(Mux(self.new & asked, 0, fetched))
        m.d.comb += [
            being_written.eq(counting & (self.prefix == prefixes[2])),
            rows.read.en.eq(self.read | (self.valid & ~being_written)),
            rows.read.addr.eq(self.prefix),
            rows.write.en.eq(counting),
            rows.write.addr.eq(prefixes[2]),
            rows.write.data.eq(more),
            self.untouched.eq(~self.row.seen.bit_select(self.digit, 1)),
        ]
        return m


class DigitTree(wiring.Component):
    """Counts keys at all levels, a level later a cycle later.

    Parameters
    ----------
    tokens : int
        Largest number of keys, at least 1.
    levels : int
        Digits of a key, at least 1.

    Members
    -------
    clear : In(1)
        Forget all keys.
    valid, key : In(1), In(2 * levels)
        Count this key.
    read, level, prefix : In(1), In(range(levels)), In(2 * levels)
        Read the counts of the prefix of ``level`` digits, the last one lowest, at the earliest ``level + 2`` cycles
        after the last key; not together with ``valid``. ``level`` is stable for two cycles more.
    at_least : Out(data.ArrayLayout(range(tokens + 1), 3))
        Three cycles after ``read``: number of keys with digit 1, 2, 3 or more after the prefix.
    """

    clear: Signal
    valid: Signal
    key: Signal
    read: Signal
    level: Signal
    prefix: Signal
    at_least: data.View

    def __init__(self, tokens: int, levels: int) -> None:
        self._tokens, self._levels = tokens, levels
        super().__init__(
            {
                "clear": In(1),
                "valid": In(1),
                "key": In(RADIX_BITS * levels),
                "read": In(1),
                "level": In(range(levels)),
                "prefix": In(RADIX_BITS * levels),
                "at_least": Out(counts_layout(tokens)["at_least"].shape),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # Level l asks for the row of a key in stage l - 1, and counts the key in stage l + 1.
        keys = [self.key, *(Signal.like(self.key, name=f"key{n}") for n in range(1, self._levels + 1))]
        valid = [self.valid, *(Signal(name=f"valid{n}") for n in range(1, max(self._levels, 2)))]
        for before, after in pairwise(keys):
            m.d.sync += after.eq(before)
        for before, after in pairwise(valid):
            m.d.sync += after.eq(before & ~self.clear)

        root = Signal(counts_layout(self._tokens))
        digit = keys[1][-RADIX_BITS:]
        with m.If(self.clear):
            m.d.sync += root.eq(0)
        with m.Elif(valid[1]):
            m.d.sync += root.eq(_counted(m, root, digit))
        rows, new = [root], ~root.seen.bit_select(digit, 1)
        for level in range(1, self._levels):
            counts = DigitCounts(self._tokens, level)
            m.submodules[f"level{level}"] = counts
            bits = RADIX_BITS * level
            m.d.comb += [
                counts.valid.eq(valid[level - 1]),
                counts.read.eq(self.read & (self.level == level)),
                counts.prefix.eq(Mux(counts.read, self.prefix[:bits], keys[level - 1][-bits:])),
                counts.new.eq(new),
                counts.digit.eq(keys[level + 1][-bits - RADIX_BITS : len(self.key) - bits]),
            ]
            rows.append(counts.row)
            new = counts.untouched
        with m.Switch(self.level):
            for level, row in enumerate(rows):
                with m.Case(level):
                    m.d.sync += self.at_least.eq(row.at_least)
        return m
