"""The result port: logits of the last layer, one after the other."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_rtl.layouts import value_item_layout

__all__ = ["ResultPort"]


class ResultPort(wiring.Component):
    """Takes P logits at once, keeps them, and sends those that exist, one a cycle, sign-extended to 32 bits.

    Members
    -------
    i : In(stream.Signature(value_item_layout(config)))
        P logits of one tile. Accepted while nothing waits to be sent.
    outputs : In(14)
        Logits of the whole network, sampled with each item; the last of them is sent with bit 32 set.
    o : Out(stream.Signature(33))
    idle : Out(1)
        Nothing waits to be sent.
    """

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(value_item_layout(config))),
                "outputs": In(14),
                "o": Out(stream.Signature(unsigned(33))),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self._config.lanes
        item = Signal(value_item_layout(self._config), reset_less=True)
        lane = Signal(range(lanes))
        output = Signal(unsigned(14))
        last_output = Signal.like(self.outputs)
        last = Signal()
        m.d.comb += [
            self.idle.eq(~self.o.valid),
            self.i.ready.eq(self.idle),
            last.eq(output == last_output),
            self.o.payload[:32].eq(item.values[lane]),
            self.o.payload[32].eq(last),
        ]
        with m.If(self.idle):
            m.d.sync += [
                item.eq(self.i.payload),
                last_output.eq(self.outputs - 1),
                lane.eq(0),
                output.eq(self.i.payload.tile * lanes),
                self.o.valid.eq(self.i.valid),
            ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [lane.eq(lane + 1), output.eq(output + 1)]
            with m.If(last | (lane == lanes - 1)):
                m.d.sync += self.o.valid.eq(0)
        return m
