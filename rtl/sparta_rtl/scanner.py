"""The scanner: reads the spike lines of window rows and keeps those that have active entries."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_rtl.layouts import descriptor_layout
from sparta_rtl.memory import ReadPort
from sparta_rtl.popcount import at_most_one
from sparta_rtl.rows import row_layout

__all__ = ["QUEUE_LINES", "LineScanner", "line_layout"]

QUEUE_LINES = 16
"""Lines on their way or waiting: as many as the look-ups of an ECP5 hold for one bit. Six keep up one line a cycle."""


def line_layout(config: CoreConfig) -> data.StructLayout:
    """One spike line with work in it.

    mask : entries inside the window with a spike in this group, all of them with ``dense``;
    single, empty : there is one of them at most, none;  words : S bits an entry, as in the memory;
    weight : weight row of entry 0, modulo the memory's depth;  end : last line with work in it of its position and
    group, which has an empty one if there is none;  final : last one of the tile.
    """
    return data.StructLayout(
        {
            "mask": config.line,
            "single": 1,
            "empty": 1,
            "words": data.ArrayLayout(config.steps, config.line),
            "weight": range(config.weight_rows),
            "end": 1,
            "final": 1,
        }
    )


class LineScanner(wiring.Component):
    """Reads one line a cycle, drops lines without active entries, queues the others.

    Members
    -------
    layer : In(descriptor_layout(Op.LAYER))
    i : In(stream.Signature(row_layout(config)))
        Accepted while idle, or together with the read of the last line of the row before.
    spikes : Out(ReadPort(spike_lines, L * S))
    o : Out(stream.Signature(line_layout(config)))

    A line is held until it is known whether another one with active entries follows in its position and group.

    Latency and throughput: a row's first line is read the cycle after the row was accepted. A line is valid at ``o``
    4 cycles after the read of the one that follows, or of the group's last one if that is empty; of the group's last
    one 5 cycles after its own. At most :data:`QUEUE_LINES` lines are under way: a dropped line read in cycle w makes
    room in cycle w + 5, a queued one two cycles after it was accepted.
    """

    i: stream.Interface
    o: stream.Interface
    spikes: wiring.PureInterface

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "layer": In(descriptor_layout(Op.LAYER)),
                "i": In(stream.Signature(row_layout(config))),
                "spikes": Out(ReadPort(config.spike_lines, config.line * config.steps)),
                "o": Out(stream.Signature(line_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        line = line_layout(config)
        m.submodules.queue = queue = fifo.SyncFIFO(width=line.size, depth=QUEUE_LINES)

        row = Signal(row_layout(config), reset_less=True)
        busy = Signal()
        fresh = Signal()
        read = Signal()
        last = Signal()
        room = Signal(range(QUEUE_LINES + 1), init=QUEUE_LINES)
        has_room = Signal(init=1)
        room_next = Signal.like(room)
        dropped = Signal()
        taken = Signal()
        inside = Signal(config.line)
        lowest, highest = Mux(fresh, row.first, 0), Mux(last, row.last, config.line - 1)
        m.d.comb += [
            read.eq(busy & has_room),
            self.i.ready.eq(~busy | (read & last)),
            self.spikes.en.eq(read & ~row.empty),
            self.spikes.addr.eq(row.address),
            inside.eq(Cat(~row.empty & (n >= lowest) & (n <= highest) for n in range(config.line))),
        ]
        with m.If(read):
            m.d.sync += [
                row.address.eq(row.address + self.layer.groups),
                row.lines.eq(row.lines - 1),
                row.weight.eq(row.weight + config.line),
                last.eq(row.lines == 1),
                fresh.eq(0),
            ]
        with m.If(self.i.ready):
            m.d.sync += [busy.eq(self.i.valid), row.eq(self.i.payload), fresh.eq(1)]
            m.d.sync += last.eq(self.i.payload.lines == 0)

        # A line: read -> fetched -> found (with its words) -> masked -> held, or dropped -> queued.
        fetched = Signal(line, reset_less=True)
        found = Signal(line, reset_less=True)
        masked = Signal(line, reset_less=True)
        held = Signal(line, reset_less=True)
        queued = Signal(line)
        fetched_valid = Signal()
        found_valid = Signal()
        masked_valid = Signal()
        held_valid = Signal()
        empty = Signal()
        open_line = Signal()
        closes = Signal()
        follows = Signal()
        m.d.sync += [
            fetched_valid.eq(read),
            fetched.mask.eq(inside),
            fetched.weight.eq(row.weight),
            fetched.end.eq(row.end & last),
            fetched.final.eq(row.final & last),
            found_valid.eq(fetched_valid),
            found.eq(fetched),
            found.words.eq(self.spikes.data),
            masked_valid.eq(found_valid),
            masked.eq(found),
            masked.mask.eq(
                Cat(found.mask[n] & (found.words[n].any() | self.layer.dense) for n in range(config.line))
            ),
        ]
        m.d.comb += [
            empty.eq(~masked.mask.any()),
            open_line.eq(held_valid & ~held.end),
            closes.eq(masked_valid & empty & masked.end & open_line),
            follows.eq(masked_valid & (~empty | (masked.end & ~open_line))),
            queue.w_en.eq((held_valid & held.end) | closes | (open_line & follows)),
            queued.eq(held),
            queued.end.eq(held.end | closes),
            queued.final.eq(held.final | (closes & masked.final)),
            queue.w_data.eq(queued),
            self.o.valid.eq(queue.r_rdy),
            self.o.payload.eq(queue.r_data),
            queue.r_en.eq(self.o.ready),
        ]
        with m.If(follows):
            m.d.sync += [held.eq(masked), held.single.eq(at_most_one(masked.mask)), held.empty.eq(empty)]
        with m.If(follows | queue.w_en):
            m.d.sync += held_valid.eq(follows)
        m.d.comb += room_next.eq(room - read + dropped + taken)
        m.d.sync += [
            dropped.eq(masked_valid & ~follows),
            taken.eq(self.o.valid & self.o.ready),
            room.eq(room_next),
            has_room.eq(room_next != 0),
        ]
        return m
