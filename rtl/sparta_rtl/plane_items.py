"""Integers of one position as words of bit planes, on their way to the spike memory."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_rtl.layouts import spike_item_layout, value_item_layout

__all__ = ["PlaneItems"]


class PlaneItems(wiring.Component):
    """P integers s8 become ``groups`` items: plane t, the most significant bit first, is step t of the word.

    Members
    -------
    valid, taken : In(1), Out(1)
        A value is offered and stays;  its last item is being accepted.
    value : In(value_item_layout(config))
    line, segment, groups : In
        Line of the first item, segment of all, and how many there are: ceil(8 / S).
    o : Out(stream.Signature(spike_item_layout(config)))
        One item a cycle, from the cycle of ``valid`` on.
    """

    valid: Signal
    taken: Signal
    value: data.View
    line: Signal
    segment: Signal
    groups: Signal
    o: stream.Interface

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        self._item = spike_item_layout(config)
        super().__init__(
            {
                "valid": In(1),
                "taken": Out(1),
                "value": In(value_item_layout(config)),
                "line": In(self._item["line"].shape),
                "segment": In(self._item["segment"].shape),
                "groups": In(6),
                "o": Out(stream.Signature(self._item)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, item = self._config, self.o.payload
        bits, lines = config.token_bits, config.groups(config.token_bits)
        group = Signal(range(max(lines, 2)))
        last = Signal()
        limit = Signal.like(self.groups)
        accepted = Signal()
        padding = Const(0, lines * config.steps - bits)
        m.d.comb += [
            self.o.valid.eq(self.valid),
            item.line.eq(self.line + group),
            item.segment.eq(self.segment),
            item.position.eq(self.value.position),
            item.tile.eq(self.value.tile),
            item.first_tile.eq(self.value.tile == 0),
            item.first_group.eq(group == 0),
            item.last_group.eq(last),
            accepted.eq(self.valid & self.o.ready),
            self.taken.eq(accepted & last),
        ]
        m.d.sync += limit.eq(self.groups - 1)
        for value, word in zip(self.value.values, item.words, strict=True):
            planes = Cat(Value.cast(value)[:bits][::-1], padding)
            m.d.comb += word.eq(planes.word_select(group, config.steps))
        with m.If(self.taken):
            m.d.sync += group.eq(0)
        with m.Elif(accepted):
            m.d.sync += group.eq(group + 1)
        with m.If(accepted):
            m.d.sync += last.eq(Mux(last, limit == 0, group + 1 == limit))
        with m.Else():
            m.d.sync += last.eq(group == limit)
        return m
