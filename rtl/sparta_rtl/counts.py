"""The read-out of networks without tokens: spikes of each neuron over time, one count after the other."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.layouts import spike_item_layout
from sparta_rtl.pipeline import is_next
from sparta_rtl.popcount import popcount

__all__ = ["CountUnit"]


class CountUnit(wiring.Component):
    """Adds up the spikes of each lane of a tile while they are written, then sends the counts, one a cycle.

    Members
    -------
    valid, i : In(1), In(spike_item_layout(config))
        Spikes of the one position of a layer, slot by slot, step group by step group. Never while ``busy``.
    slots, outputs : In(5), In(14)
        Parts of F lanes of a tile, and counts of the whole layer; sampled with a tile's last item.
    o : Out(stream.Signature(33))
        Counts as 32-bit integers; bit 32 marks the last one of the layer.
    busy : Out(1)
        From the cycle after a tile's last item on, until its last count was accepted.
    """

    valid: Signal
    i: data.View
    slots: Signal
    outputs: Signal
    o: stream.Interface
    busy: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "valid": In(1),
                "i": In(spike_item_layout(config)),
                "slots": In(5),
                "outputs": In(14),
                "o": Out(stream.Signature(unsigned(33))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        counts = data.ArrayLayout(unsigned(unsigned_bits(config.max_steps)), config.fire_lanes)
        m.submodules.cells = cells = memory.Memory(shape=counts, depth=max(config.fire_share, 2), init=[])
        write, read = cells.write_port(), cells.read_port(domain="comb")
        slot = Signal(range(config.fire_share))
        lane = Signal(range(config.fire_lanes))
        sending = Signal()
        complete = Signal()
        left = Signal.like(self.outputs)
        last = Signal()
        last_slot = Signal()
        last_lane = Signal()
        slots = Signal.like(self.slots)
        m.d.comb += [
            read.addr.eq(Mux(sending, slot, self.i.slot)),
            write.addr.eq(self.i.slot),
            write.en.eq(self.valid),
            last_slot.eq(is_next(slot, slots)),
            last_lane.eq(lane == config.fire_lanes - 1),
            complete.eq(self.valid & self.i.last_group & (self.i.slot + 1 == self.slots)),
            self.busy.eq(sending),
            self.o.valid.eq(sending),
            self.o.payload[:32].eq(read.data[lane]),
            self.o.payload[32].eq(last),
        ]
        for n in range(config.fire_lanes):
            before = Mux(self.i.first_group, 0, read.data[n])
            m.d.comb += write.data[n].eq(before + popcount(self.i.words[n]))
        with m.If(complete):
            m.d.sync += [sending.eq(1), slots.eq(self.slots)]
            with m.If(self.i.first_tile):
                m.d.sync += [left.eq(self.outputs), last.eq(self.outputs == 1)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [left.eq(left - 1), last.eq(left == 2), lane.eq(lane + 1)]
            with m.If(last_lane):
                m.d.sync += [lane.eq(0), slot.eq(slot + 1)]
            with m.If(last | (last_lane & last_slot)):
                m.d.sync += [sending.eq(0), lane.eq(0), slot.eq(0)]
        return m
