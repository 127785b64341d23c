"""The issue stage: from lines to single active entries and their weight rows."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_rtl.layouts import descriptor_layout
from sparta_rtl.popcount import at_most_one
from sparta_rtl.scanner import line_layout

__all__ = ["GROUPS_AHEAD", "EntryIssue", "entry_layout"]

GROUPS_AHEAD = 16
"""Groups issued to their end that have not been read: one with sums, or two while one is read, and copied ones."""


def entry_layout(config: CoreConfig) -> data.StructLayout:
    """What the accumulators do about one entry.

    weight : its weight row;  read : there is an entry (an empty last line has none);  steps : its S step
    bits;  end : last one of its position and group;  kept, copied : with end, the position is silent, and later ones
    copy its spikes, or it copies them;  final : last one of the tile.
    """
    return data.StructLayout(
        {
            "weight": range(config.weight_rows),
            "read": 1,
            "steps": config.steps,
            "end": 1,
            "kept": 1,
            "copied": 1,
            "final": 1,
        }
    )


class EntryIssue(wiring.Component):
    """One active entry a cycle, lowest first, without a gap between lines; an empty last line takes a cycle.

    The last entry of a position and group waits for ``free`` if its sums would overwrite others. The silent
    positions of a tile, those without an active entry, have the same spikes: where a position is one group of spikes
    (T <= S) and each lane has a fire stage, the later ones copy those of the first, and need no sums.

    Members
    -------
    opens : In(1)
        Pulse: lines of the next tile are accepted from the next cycle on. Not before the tile before is issued.
    layer : In(descriptor_layout(Op.LAYER))
    i : In(stream.Signature(line_layout(config)))
        Accepted while idle, or in the cycle that issues the last entry of the line before in the same tile.
    free : In(1)
        Pulse: one more set of sums may be finished. ``sum_sets`` may at reset.
    taken : In(1)
        Pulse: one more group may be issued to its end. There are :data:`GROUPS_AHEAD` at reset.
    valid, entry : Out(1), Out(entry_layout(config))
        Fixed latency: two cycles after the entry was issued, without a way to stall.
    """

    opens: Signal
    layer: data.View
    i: stream.Interface
    free: Signal
    taken: Signal
    valid: Signal
    entry: data.View

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "opens": In(1),
                "layer": In(descriptor_layout(Op.LAYER)),
                "i": In(stream.Signature(line_layout(config))),
                "free": In(1),
                "taken": In(1),
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
        ends = Signal()
        opened = Signal()
        tile_ends = Signal()
        may_end = Signal()
        kept, copied = self._silent(m, line, issue, tile_ends)
        m.d.comb += [
            issue.eq(busy & (may_end | ~last | ~line.end)),
            ends.eq(issue & last & line.end),
            tile_ends.eq(ends & line.final),
            self.i.ready.eq(Mux(busy, last & (may_end | ~line.end) & ~line.final, opened)),
        ]
        # ``lowest`` has the entry that is issued next, ``line.mask`` those after it; ``last`` : there are none.
        with m.If(issue):
            m.d.sync += [lowest.eq(line.mask & -line.mask), line.mask.eq(line.mask & (line.mask - 1))]
            m.d.sync += last.eq(at_most_one(line.mask))
        with m.If(self.i.ready):
            mask = self.i.payload.mask
            m.d.sync += [busy.eq(self.i.valid), line.eq(self.i.payload)]
            m.d.sync += [lowest.eq(mask & -mask), line.mask.eq(mask & (mask - 1))]
            m.d.sync += last.eq(self.i.payload.single)
        with m.If(tile_ends):
            m.d.sync += [busy.eq(0), opened.eq(0)]
        with m.Elif(self.opens):
            m.d.sync += opened.eq(1)
        self._count_groups(m, ends, copied, may_end)

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
            picked.read.eq(issue & ~line.empty),
            picked.steps.eq(steps),
            picked.end.eq(line.end & last),
            picked.kept.eq(kept),
            picked.copied.eq(copied),
            picked.final.eq(line.final & last),
            self.valid.eq(picked_valid),
            self.entry.eq(picked),
            self.entry.weight.eq(picked.weight + place),
        ]
        return m

    def _silent(self, m: Module, line: data.View, issue: Signal, tile_ends: Signal) -> tuple[Signal, Signal]:
        """Whether the position that ends is silent and the first such one of its tile, or a later one."""
        alike = Signal()
        known = Signal()
        kept = Signal()
        copied = Signal()
        if self._config.fire_share == 1:
            m.d.sync += alike.eq((self.layer.groups == 1) & ~self.layer.integer)
        m.d.comb += [
            kept.eq(alike & line.empty & ~known),
            copied.eq(alike & line.empty & known),
        ]
        with m.If(issue):
            m.d.sync += known.eq(known | kept)
        with m.If(tile_ends):
            m.d.sync += known.eq(0)
        return kept, copied

    def _count_groups(self, m: Module, ends: Signal, copied: Signal, may_end: Signal) -> None:
        """A group may end while there is a place for it, and one for its sums if it has some."""
        credit = Signal(range(self._config.sum_sets + 1), init=self._config.sum_sets)
        credit_next = Signal.like(credit)
        has_credit = Signal(init=1)
        places = Signal(range(GROUPS_AHEAD + 1), init=GROUPS_AHEAD)
        places_next = Signal.like(places)
        has_place = Signal(init=1)
        taken = Signal()
        m.d.comb += [
            may_end.eq(has_place & (has_credit | copied)),
            credit_next.eq(credit - (ends & ~copied) + self.free),
            places_next.eq(places - ends + taken),
        ]
        m.d.sync += [
            credit.eq(credit_next),
            has_credit.eq(credit_next != 0),
            taken.eq(self.taken),
            places.eq(places_next),
            has_place.eq(places_next != 0),
        ]
