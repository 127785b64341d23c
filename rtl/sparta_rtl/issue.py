"""The issue stage: from lines to single active entries and their weight rows."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_rtl.popcount import at_most_one
from sparta_rtl.scanner import line_layout

__all__ = ["EntryIssue", "entry_layout"]


def entry_layout(config: CoreConfig) -> data.StructLayout:
    """What the accumulators do about one entry.

    weight : its weight row;  read : there is an entry (an empty last line has none);  steps : its S step
    bits;  end : last one of its position and group;  silent : with end, there was none in the group;  final : last
    one of the tile.
    """
    return data.StructLayout(
        {
            "weight": range(config.weight_rows),
            "read": 1,
            "steps": config.steps,
            "end": 1,
            "silent": 1,
            "final": 1,
        }
    )


class EntryIssue(wiring.Component):
    """One active entry a cycle, lowest first, without a gap between lines; an empty last line takes a cycle.

    The last entry of a position and group waits for ``free``: its sums overwrite those that are being fired.

    Members
    -------
    i : In(stream.Signature(line_layout(config)))
        Accepted while idle, or in the cycle that issues the last entry of the line before.
    free : In(1)
        Pulse: one more set of sums may be finished. There is one at reset.
    valid, entry : Out(1), Out(entry_layout(config))
        Fixed latency: two cycles after the entry was issued, without a way to stall.
    """

    i: stream.Interface
    free: Signal
    valid: Signal
    entry: data.View

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(line_layout(config))),
                "free": In(1),
                "valid": Out(1),
                "entry": Out(entry_layout(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        line = Signal(line_layout(config), reset_less=True)
        busy = Signal()
        lowest = Signal(config.line, reset_less=True)
        last = Signal()
        issue = Signal()
        credit = Signal(init=1)
        found = Signal()
        some = Signal()  # of the entries of this group that were issued before
        m.d.comb += [
            issue.eq(busy & (credit | ~last | ~line.end)),
            found.eq(lowest.any()),
            self.i.ready.eq(~busy | (last & (credit | ~line.end))),
        ]
        # ``lowest`` has the entry that is issued next, ``line.mask`` those after it; ``last`` : there are none.
        with m.If(issue):
            m.d.sync += [lowest.eq(line.mask & -line.mask), line.mask.eq(line.mask & (line.mask - 1))]
            m.d.sync += last.eq(at_most_one(line.mask))
            m.d.sync += some.eq((some | found) & ~(last & line.end))
        with m.If(self.i.ready):
            mask = self.i.payload.mask
            m.d.sync += [busy.eq(self.i.valid), line.eq(self.i.payload)]
            m.d.sync += [lowest.eq(mask & -mask), line.mask.eq(mask & (mask - 1))]
            m.d.sync += last.eq(self.i.payload.single)
        with m.If(self.free):
            m.d.sync += credit.eq(1)
        with m.Elif(issue & last & line.end):
            m.d.sync += credit.eq(0)

        picked = Signal(entry_layout(config))
        picked_valid = Signal()
        place = Signal(range(config.line))
        places = range(config.line)
        index = Cat(Cat(lowest[n] for n in places if n >> bit & 1).any() for bit in range(len(place)))
        steps = Cat((lowest & Cat(line.words[n][s] for n in places)).any() for s in range(config.steps))
        m.d.sync += [
            picked_valid.eq(issue),
            place.eq(index),
            picked.weight.eq(line.weight),
            picked.read.eq(issue & found),
            picked.steps.eq(steps),
            picked.end.eq(line.end & last),
            picked.silent.eq(~(some | found)),
            picked.final.eq(line.final & last),
            self.valid.eq(picked_valid),
            self.entry.eq(picked),
            self.entry.weight.eq(picked.weight + place),
        ]
        return m
