"""The accumulators: P lanes times S steps, and the finished sums of the group before."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_rtl.issue import GROUPS_AHEAD, entry_layout

__all__ = ["Accumulators", "sums_layout"]

_LANES_A_COPY = 8
"""Lanes that share one copy of an entry's step bits, so that a copy lies near them; synthesis keeps all copies."""


def sums_layout(config: CoreConfig) -> data.ArrayLayout:
    """Sums of one position and group: ``sums[lane][step]``, signed ``acc_bits``."""
    return data.ArrayLayout(data.ArrayLayout(signed(config.acc_bits), config.steps), config.lanes)


class Accumulators(wiring.Component):
    """``acc[lane][step] += weight[lane]`` where the entry's bit of that step is set.

    Members
    -------
    valid, entry : In(1), In(entry_layout(config))
        In the cycle that reads the entry's weight row.
    weights : In(lanes * weight_bits)
        The row, one cycle later.
    sums : Out(sums_layout(config))
        Sums of the oldest finished group that is not copied, from the cycle after it is there.
    full, kept, copied, final : Out(1), Out(1), Out(1), Out(1)
        A finished group has not been taken;  of the oldest such one: see :func:`~sparta_rtl.issue.entry_layout`.
    taken : In(1)
        The oldest group's sums, if it has some, will be read for the last time in the next cycle.

    Latency and throughput: one entry a cycle. A finished group is there two cycles after its last entry came in, with n
    = ``sum_sets`` n - 1 cycles later if it has sums, and the next one accumulates meanwhile. The sender sees to it that
    there are :data:`~sparta_rtl.issue.GROUPS_AHEAD` at most, ``sum_sets`` with sums, and that a set has been read
    before one more is there.
    """

    valid: Signal
    entry: data.View
    weights: Signal
    sums: data.View
    full: Signal
    kept: Signal
    copied: Signal
    final: Signal
    taken: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "valid": In(1),
                "entry": In(entry_layout(config)),
                "weights": In(config.lanes * config.weight_bits),
                "sums": Out(sums_layout(config)),
                "full": Out(1),
                "kept": Out(1),
                "copied": Out(1),
                "final": Out(1),
                "taken": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        fetched = Signal(entry_layout(config))
        fetched_valid = Signal()
        valid = Signal()
        end = Signal(init=1)  # a reset ends a group, so that its sums begin at zero
        row = Signal(data.ArrayLayout(signed(config.weight_bits), config.lanes), reset_less=True)
        added = Signal(sums_layout(config))
        ends = Signal()
        sums_end = Signal()
        m.d.comb += [ends.eq(fetched_valid & fetched.end), sums_end.eq(ends & ~fetched.copied)]
        m.d.sync += [
            fetched_valid.eq(self.valid),
            fetched.eq(self.entry),
            valid.eq(fetched_valid),
            end.eq(sums_end),
        ]
        with m.If(fetched.read):
            m.d.sync += row.eq(self.weights)
        if config.steps == 1:
            with m.If(~(fetched.read & fetched.steps)):
                m.d.sync += row.eq(0)

        for lane in range(config.lanes):
            if config.steps > 1 and lane % _LANES_A_COPY == 0:
                active = Signal(config.steps, name=f"active_{lane}", reset_less=True, attrs={"keep": 1})
                m.d.sync += active.eq(fetched.steps)
            for step in range(config.steps):
                total = Signal(signed(config.acc_bits), name=f"acc_{lane}_{step}", reset_less=True)
                # With S = 1 the row is zero where the entry's bit is not set.
                addend = Mux(active[step], row[lane], 0) if config.steps > 1 else row[lane]
                m.d.comb += added[lane][step].eq(total + addend)
                with m.If(end):
                    m.d.sync += total.eq(0)
                with m.Elif(valid):
                    m.d.sync += total.eq(added[lane][step])

        m.submodules.groups = groups = fifo.SyncFIFO(width=3, depth=GROUPS_AHEAD)
        m.d.comb += [
            groups.w_en.eq(ends),
            groups.w_data.eq(Cat(fetched.kept, fetched.copied, fetched.final)),
            groups.r_en.eq(self.taken),
            Cat(self.kept, self.copied, self.final).eq(groups.r_data),
        ]
        sums = self._move_up(m, sums_end, groups.r_rdy)
        with m.If(end):
            m.d.sync += sums.eq(added)
        return m

    def _move_up(self, m: Module, ends: Signal, group: Value) -> data.View:
        """Sets of sums: the first one is read, the last one, returned, is written a cycle after ``ends``."""
        config = self._config
        sets = [
            Signal(sums_layout(config), name=f"sums_{n}", reset_less=True) for n in range(config.sum_sets)
        ]
        m.d.comb += self.sums.eq(sets[0])
        if config.sum_sets == 1:
            m.d.comb += self.full.eq(group)
            return sets[-1]
        arrives = Signal()
        leaves = Signal()  # the first set, at the end of this cycle
        there = Signal()
        held = Signal(config.sum_sets)
        held_next = Signal.like(held)
        leaving = self.taken & ~self.copied
        m.d.sync += [
            arrives.eq(ends),
            leaves.eq(leaving),
            held.eq(held_next),
            there.eq((held_next[0] & ~leaving) | held_next[1]),
        ]
        m.d.comb += self.full.eq(there | (group & self.copied))
        room: Value = leaves
        for n, comes in enumerate([*held[1:], arrives]):
            room = ~held[n] | room
            m.d.comb += held_next[n].eq(Mux(room, comes, held[n]))
            if n < config.sum_sets - 1:
                with m.If(room & comes):
                    m.d.sync += sets[n].eq(sets[n + 1])
        return sets[-1]
