"""Queues: what comes out is what went in, in its order, whatever either side does."""

from abc import abstractmethod
from collections.abc import Sequence

from amaranth.hdl import Array, Assert, Assume, Elaboratable, Module, Signal, Value
from amaranth.lib import fifo, stream

from sparta_rtl.stream_slice import StreamSlice
from sparta_sim.proofs.contract import Contract

__all__ = ["FifoContract", "SliceContract", "StreamContract"]

_BITS = 2


class StreamContract(Contract):
    """Any item comes out as it went in, after those that went in before it; at most ``room`` items are under way.

    The producer holds an item until it is taken, as streams demand; so does the unit. One item at a time is watched,
    and any may be.
    """

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room
        self._i_valid, self._i_payload = self.free(1, "i_valid"), self.free(_BITS, "i_payload")
        self._o_ready, self._watch = self.free(1, "o_ready"), self.free(1, "watch")

    @abstractmethod
    def places(self, m: Module, under_way: Value) -> Sequence[Value]:
        """Where the unit keeps the next item that comes out, the one after it, and so on."""

    def check(self, m: Module, unit: Elaboratable, i: stream.Interface, o: stream.Interface) -> None:
        """Drive ``unit`` by the free inputs and watch both its ends."""
        m.submodules.unit = unit
        i_payload, o_payload = Value.cast(i.payload), Value.cast(o.payload)
        m.d.comb += [i.valid.eq(self._i_valid), i_payload.eq(self._i_payload), o.ready.eq(self._o_ready)]
        came, went = i.valid & i.ready, o.valid & o.ready
        under_way, watching = Signal(range(self._room + 1)), Signal()
        ahead, watched = Signal(range(self._room + 1)), Signal(_BITS)
        m.d.sync += under_way.eq(under_way + came - went)
        with m.If(watching & went):
            m.d.sync += [ahead.eq(ahead - 1), watching.eq(ahead != 0)]
            with m.If(ahead == 0):
                m.d.comb += Assert(o_payload == watched)
        with m.If(came & self._watch & ~watching):
            m.d.sync += [watching.eq(1), ahead.eq(under_way - went), watched.eq(i_payload)]

        waited, held, offered, kept = Signal(), Signal(_BITS), Signal(), Signal(_BITS)
        m.d.sync += [
            waited.eq(i.valid & ~i.ready),
            held.eq(i_payload),
            offered.eq(o.valid & ~o.ready),
            kept.eq(o_payload),
        ]
        m.d.comb += [
            Assume(~waited | (i.valid & (i_payload == held))),
            Assert(under_way <= self._room),
            Assert(o.valid == (under_way != 0)),
            Assert(i.ready == (under_way != self._room)),
            Assert(~offered | (o.valid & (o_payload == kept))),
        ]

        # For the induction: the item that is watched is where it must be.
        places = self.places(m, under_way)
        with m.If(watching):
            m.d.comb += Assert(ahead < under_way)
            for n, place in enumerate(places):
                with m.If(ahead == n):
                    m.d.comb += Assert(place == watched)


class SliceContract(StreamContract):
    """:class:`~sparta_rtl.stream_slice.StreamSlice`, or what claims to be one."""

    def __init__(self, slice_type: type[StreamSlice] = StreamSlice) -> None:
        super().__init__(room=2)
        self._slice_type = slice_type
        self._waiting = self.spy(_BITS, "unit.waiting")

    def elaborate(self, platform: object) -> Module:
        m = self.begin()
        unit = self._slice_type(_BITS)
        self._sent = Value.cast(unit.o.payload)
        self.check(m, unit, unit.i, unit.o)
        return m

    def places(self, m: Module, under_way: Value) -> Sequence[Value]:
        return self._sent, self._waiting


class FifoContract(StreamContract):
    """Amaranth's FIFO in front of the issue stage (``scanner.py``), as a stream."""

    def __init__(self, depth: int) -> None:
        super().__init__(room=depth)
        self._depth = depth
        self._rows = [self.spy(_BITS, f"unit.storage[{row}]") for row in range(depth)]
        self._oldest = self.spy(range(depth), "unit.r_port__addr")
        self._free = self.spy(range(depth), "unit.w_port__addr")
        self._level = self.spy(range(depth + 1), "unit.level")

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

    def places(self, m: Module, under_way: Value) -> Sequence[Value]:
        m.d.comb += [
            Assert(self._level == under_way),
            Assert(self._oldest < self._depth),
            Assert(self._free == (self._oldest + under_way) % self._depth),
        ]
        rows = Array(self._rows)
        return [rows[(self._oldest + n) % self._depth] for n in range(self._depth)]
