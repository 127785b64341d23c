"""Queues: what comes out is what went in, in its order, whatever either side does."""

from amaranth.hdl import Assert, Assume, Elaboratable, Module, Signal, Value
from amaranth.lib import fifo, stream

from sparta_rtl.stream_slice import StreamSlice
from sparta_sim.proofs.contract import Contract

__all__ = ["FifoContract", "SliceContract", "StreamContract"]

_BITS = 3


class StreamContract(Contract):
    """The n-th item out is the n-th item in, for any n; at most ``room`` items are under way, and none waits for input.

    The producer holds an item until it is taken, as streams demand; so does the unit.
    """

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room
        self._i_valid, self._i_payload = self.free(1, "i_valid"), self.free(_BITS, "i_payload")
        self._o_ready, self._number = self.free(1, "o_ready"), self.constant(4, "number")

    def check(self, m: Module, unit: Elaboratable, i: stream.Interface, o: stream.Interface) -> None:
        """Drive ``unit`` by the free inputs and watch both its ends."""
        m.submodules.unit = unit
        i_payload, o_payload = Value.cast(i.payload), Value.cast(o.payload)
        m.d.comb += [i.valid.eq(self._i_valid), i_payload.eq(self._i_payload), o.ready.eq(self._o_ready)]
        came, went = i.valid & i.ready, o.valid & o.ready
        into, out, marked = Signal(5), Signal(5), Signal(_BITS)
        waited, held, offered, kept = Signal(), Signal(_BITS), Signal(), Signal(_BITS)
        with m.If(came):
            m.d.sync += into.eq(into + 1)
            with m.If(into == self._number):
                m.d.sync += marked.eq(i_payload)
        with m.If(went):
            m.d.sync += out.eq(out + 1)
            with m.If(out == self._number):
                m.d.comb += Assert(o_payload == marked)
        m.d.sync += [
            waited.eq(i.valid & ~i.ready),
            held.eq(i_payload),
            offered.eq(o.valid & ~o.ready),
            kept.eq(o_payload),
        ]
        under_way = Signal(5)
        m.d.comb += [
            under_way.eq(into - out),
            Assume(~waited | (i.valid & (i_payload == held))),
            Assume(into < 16),
            Assert(under_way <= self._room),
            Assert((under_way != 0) | ~o.valid),
            Assert((under_way != self._room) | ~i.ready),
            Assert(~offered | (o.valid & (o_payload == kept))),
        ]


class SliceContract(StreamContract):
    """:class:`~sparta_rtl.stream_slice.StreamSlice`, or what claims to be one."""

    def __init__(self, slice_type: type[StreamSlice] = StreamSlice) -> None:
        super().__init__(room=2)
        self._slice_type = slice_type

    def elaborate(self, platform: object) -> Module:
        m = self.begin()
        unit = self._slice_type(_BITS)
        self.check(m, unit, unit.i, unit.o)
        return m


class FifoContract(StreamContract):
    """Amaranth's FIFO in front of the issue stage (``scanner.py``), as a stream."""

    def __init__(self, depth: int) -> None:
        super().__init__(room=depth)
        self._depth = depth

    def elaborate(self, platform: object) -> Module:
        m = self.begin()
        unit = fifo.SyncFIFO(width=_BITS, depth=self._depth)
        i, o = (stream.Signature(_BITS).create(path=(name,)) for name in ("i", "o"))
        m.d.comb += [
            unit.w_en.eq(i.valid),
            unit.w_data.eq(i.payload),
            i.ready.eq(unit.w_rdy),
            o.valid.eq(unit.r_rdy),
            o.payload.eq(unit.r_data),
            unit.r_en.eq(o.ready),
        ]
        self.check(m, unit, i, o)
        return m
