"""The accumulators: P lanes times S steps, and the finished sums of the group before."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_rtl.issue import entry_layout

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
        Sums of the last finished group, valid from the cycle after ``full`` rises to that after ``taken``.
    full, silent, final : Out(1), Out(1), Out(1)
        ``sums`` has not been taken;  nothing was added;  it is the last one of the tile.
    taken : In(1)
        ``sums`` will be read for the last time, in the next cycle.

    Latency and throughput: one entry a cycle. ``full`` rises two cycles after the group's last entry came
    in, and the next group accumulates meanwhile. The sender of a group's end sees to it that ``full`` is low.
    """

    valid: Signal
    entry: data.View
    weights: Signal
    sums: data.View
    full: Signal
    silent: Signal
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
                "silent": Out(1),
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
        sums = Signal(sums_layout(config), reset_less=True)
        m.d.comb += self.sums.eq(sums)
        m.d.sync += [
            fetched_valid.eq(self.valid),
            fetched.eq(self.entry),
            valid.eq(fetched_valid),
            end.eq(fetched_valid & fetched.end),
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
                added = Signal(signed(config.acc_bits), name=f"added_{lane}_{step}")
                # With S = 1 the row is zero where the entry's bit is not set.
                addend = Mux(active[step], row[lane], 0) if config.steps > 1 else row[lane]
                m.d.comb += added.eq(total + addend)
                with m.If(end):
                    m.d.sync += [total.eq(0), sums[lane][step].eq(added)]
                with m.Elif(valid):
                    m.d.sync += total.eq(added)

        with m.If(fetched_valid & fetched.end):
            m.d.sync += [self.full.eq(1), self.silent.eq(fetched.silent), self.final.eq(fetched.final)]
        with m.Elif(self.taken):
            m.d.sync += self.full.eq(0)
        return m
