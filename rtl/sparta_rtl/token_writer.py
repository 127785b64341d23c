"""Attention results on their way to the spike memory, as bit planes for the next layer."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_rtl.attention import attention_layout
from sparta_rtl.layouts import descriptor_layout
from sparta_rtl.memory import WritePort

__all__ = ["TokenWriter"]


class TokenWriter(wiring.Component):
    """Collects the P values of a row and writes its segment of ``ceil(8 / S)`` lines.

        entry = rank * pitch * P + feature        line = out_base + (entry // L) * ceil(8 / S) + plane group

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    layer : In(descriptor_layout(Op.ATTEND))
        ``pitch`` and ``out_base``.
    i : In(stream.Signature(attention_layout(config)))
        Values in rank, feature order. Not ready for the last value of a row until ``ceil(8 / S)`` cycles after
        that of the row before it, so it never stalls when ``ceil(8 / S) <= P``.
    write : Out(WritePort(spike_lines, line * steps, line // lanes))
    idle : Out(1)
        Everything that was accepted is in the memory.
    """

    layer: data.View
    i: stream.Interface
    write: wiring.PureInterface
    idle: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "layer": In(descriptor_layout(Op.ATTEND)),
                "i": In(stream.Signature(attention_layout(config))),
                "write": Out(WritePort(config.spike_lines, config.line * config.steps, config.segments)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, layer, value = self._config, self.layer, self.i.payload
        lane_bits, segment_bits = exact_log2(config.lanes), exact_log2(config.segments)
        lines = config.groups(config.token_bits)
        collected = Signal(data.ArrayLayout(config.token_bits, config.lanes), reset_less=True)
        row = Signal.like(collected, reset_less=True)
        settled = Signal()
        lane = value.feature[:lane_bits]
        last_lane = Signal()
        row_base = Signal(20)
        row_chunk = Signal(20, reset_less=True)
        rank_chunk = Signal(20)
        writing = Signal()
        plane = Signal(range(lines))
        chunk = Signal(20)
        plane_ends = Signal()
        m.d.comb += [
            last_lane.eq(lane == config.lanes - 1),
            plane_ends.eq(plane == lines - 1),
            self.i.ready.eq(~last_lane | ~writing | (plane >= lines - 2)),
            self.idle.eq(~writing & ~settled & ~self.i.valid),
        ]
        m.d.sync += [
            row_chunk.eq(value.rank * layer.pitch),  # of the lane before, which has the same rank
            rank_chunk.eq(row_chunk + value.feature[lane_bits:]),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += collected[lane].eq(value.value)
        m.d.sync += settled.eq(self.i.valid & self.i.ready & last_lane)
        with m.If(writing):
            m.d.sync += plane.eq(plane + 1)
            with m.If(plane_ends):
                m.d.sync += [plane.eq(0), writing.eq(0)]
        with m.If(settled):
            m.d.sync += [row.eq(collected), chunk.eq(rank_chunk), writing.eq(1)]

        words = [Cat(Value.cast(v)[::-1], Const(0, lines * config.steps - config.token_bits)) for v in row]
        parts = [Cat(word.word_select(n, config.steps) for word in words) for n in range(lines)]
        segment = Cat(parts).word_select(plane, config.lanes * config.steps)
        m.d.comb += [
            row_base.eq((chunk >> segment_bits) * lines),
            self.write.addr.eq(layer.out_base + row_base + plane),
            self.write.data.eq(segment.replicate(config.segments)),
        ]
        with m.If(writing):
            m.d.comb += self.write.en.eq(1 << chunk[:segment_bits] if segment_bits else 1)
        return m
