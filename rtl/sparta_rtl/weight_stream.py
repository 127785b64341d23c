"""Weights from external memory: an AXI4 read master that keeps a ring of weight rows filled."""

from amaranth.hdl import Const, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import FIELDS, Op
from sparta_rtl.memory import BlockRam, ReadPort, WritePort

__all__ = ["PAGE_BITS", "AxiRead", "RingUse", "StreamControl", "StreamedWeights", "WeightStreamer"]

PAGE_BITS = 12
"""An image begins at a multiple of 4 KiB, so that no burst of a power of two crosses such a boundary."""

IMAGE_ROW_BITS = 24
"""Rows of an image are counted in as many bits."""

_PITCH_BITS = next(field.bits for field in FIELDS[Op.LAYER] if field.name == "weight_pitch")

_ADDRESS_BITS = 32
_INCREMENTING = 1
_NORMAL_MEMORY = 0b0011


class AxiRead(wiring.Signature):
    """Read channels of AXI4 as their master sees them (Arm IHI 0022), ``bits`` of data a beat."""

    def __init__(self, bits: int) -> None:
        super().__init__(
            {
                "arid": Out(1),
                "araddr": Out(_ADDRESS_BITS),
                "arlen": Out(8),
                "arsize": Out(3),
                "arburst": Out(2),
                "arcache": Out(4),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rid": In(1),
                "rdata": In(unsigned(bits)),
                "rresp": In(2),
                "rlast": In(1),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class StreamControl(wiring.Signature):
    """Which image is streamed, as its host says.

    Members
    -------
    base : Out(20)
        Its address, in units of 4 KiB.
    rows : Out(24)
        Its length. Both are taken over at ``restart``; after a reset there is no image.
    restart : Out(1)
        Pulse: forget all rows, and begin with the image's first one.
    failed : In(1)
        A response was not OKAY; until ``restart`` no more rows come.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "base": Out(_ADDRESS_BITS - PAGE_BITS),
                "rows": Out(IMAGE_ROW_BITS),
                "restart": Out(1),
                "failed": In(1),
            }
        )


class RingUse(wiring.Signature):
    """The ring of weight rows, as their user sees it.

    Members
    -------
    filled : In(range(weight_rows + 1))
        Rows that are there: complete, and not released.
    oldest : In(range(weight_rows))
        Where the first of them lies; the others follow, modulo the depth.
    release, released : Out(1), Out(18)
        Pulse, and how many: the oldest rows are no longer needed.
    """

    def __init__(self, config: CoreConfig) -> None:
        super().__init__(
            {
                "filled": In(range(config.weight_rows + 1)),
                "oldest": In(range(config.weight_rows)),
                "release": Out(1),
                "released": Out(_PITCH_BITS),
            }
        )


class WeightStreamer(wiring.Component):
    """Reads an image of weight rows from its first to its last, again and again, into a ring of rows.

    The image has the tiles in the order in which the core uses them, so that an inference consumes it once. A burst
    is asked for as soon as the ring has room for all of it, whatever else is under way: beats are never refused, and
    the ring's room is what hides the memory's latency. After a response other than OKAY nothing more is counted or
    asked for until ``restart``: what was complete before stays valid.

    Members
    -------
    axi : Out(AxiRead(stream_bits))
    control : In(StreamControl())
        Beats that were asked for before a ``restart`` come and are dropped first; an address that is offered stays
        until it is accepted.
    ring : In(RingUse(config))
    write : Out(WritePort(weight_rows, P * 8, row_beats))
        Row n of the stream, counted from ``restart``, goes to row n modulo the depth.

    Latency and throughput: an address every other cycle, a beat every cycle. The first address is offered 3 cycles
    after ``restart`` if no beats are under way; a row counts in the cycle after its last beat, and released rows are
    room for the address that is offered 2 cycles after ``release``.
    """

    axi: wiring.PureInterface
    control: wiring.PureInterface
    ring: wiring.PureInterface
    write: wiring.PureInterface

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "axi": Out(AxiRead(config.stream_bits)),
                "control": In(StreamControl()),
                "ring": In(RingUse(config)),
                "write": Out(
                    WritePort(config.weight_rows, config.lanes * config.weight_bits, config.row_beats)
                ),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._restarting = Signal()
        self._length = Signal(range(self._config.burst_beats + 1))
        self._ask = Signal()
        self._addresses(m)
        self._beats(m)
        with m.If(self.control.restart):
            m.d.sync += self._restarting.eq(1)
        return m

    def _addresses(self, m: Module) -> None:
        """What to ask for next; room in the ring is taken when it is asked for."""
        config, axi = self._config, self.axi
        burst, row_bits = config.burst_beats, exact_log2(config.row_beats)
        depth = config.weight_rows * config.row_beats
        room = Signal(range(depth + 1))
        expected = Signal(range(depth + 1))
        left = Signal(IMAGE_ROW_BITS + row_bits)
        total = Signal(IMAGE_ROW_BITS + row_bits)
        address = Signal(_ADDRESS_BITS)
        first = Signal(_ADDRESS_BITS)
        last = Signal()
        freed = Signal.like(room)
        m.d.comb += [
            axi.arsize.eq(exact_log2(config.stream_bits // 8)),
            axi.arburst.eq(_INCREMENTING),
            axi.arcache.eq(_NORMAL_MEMORY),
            last.eq(left <= burst),
            self._length.eq(Mux(last, left, burst)),
            freed.eq(Mux(self.ring.release, self.ring.released << row_bits, 0)),
            self._ask.eq(
                ~axi.arvalid & ~self._restarting & ~self.control.failed & (left != 0) & (room >= burst)
            ),
        ]
        m.d.sync += [
            room.eq(room + freed - Mux(self._ask, self._length, 0)),
            expected.eq(expected + Mux(self._ask, self._length, 0) - axi.rvalid),
        ]
        with m.If(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.If(self._ask):
            m.d.sync += [
                axi.arvalid.eq(1),
                axi.araddr.eq(address),
                axi.arlen.eq(self._length - 1),
                left.eq(Mux(last, total, left - burst)),
                address.eq(Mux(last, first, address + burst * config.stream_bits // 8)),
            ]
        with m.If(self._restarting & (expected == 0)):
            m.d.sync += [
                self._restarting.eq(0),
                room.eq(depth),
                left.eq(self.control.rows << row_bits),
                total.eq(self.control.rows << row_bits),
                address.eq(self.control.base << PAGE_BITS),
                first.eq(self.control.base << PAGE_BITS),
            ]

    def _beats(self, m: Module) -> None:
        """Beats into the ring, one after the other."""
        config, axi = self._config, self.axi
        place_bits = exact_log2(config.row_beats)
        beat = Signal(exact_log2(config.weight_rows) + place_bits)
        good = Signal()
        row = Signal()
        place = beat[:place_bits] if place_bits else Const(0, 1)
        m.d.comb += [
            axi.rready.eq(1),
            good.eq(axi.rvalid & ~self._restarting & ~self.control.failed & (axi.rresp == 0)),
            row.eq(good & (place == config.row_beats - 1)),
            self.write.en.eq(good << place),
            self.write.addr.eq(beat[place_bits:]),
            self.write.data.eq(axi.rdata.replicate(config.row_beats)),
        ]
        freed = Mux(self.ring.release, self.ring.released, 0)
        m.d.sync += [
            beat.eq(beat + good),
            self.ring.filled.eq(self.ring.filled + row - freed),
            self.ring.oldest.eq(self.ring.oldest + freed),
        ]
        with m.If(axi.rvalid & ~self._restarting & (axi.rresp != 0)):
            m.d.sync += self.control.failed.eq(1)
        with m.If(self.control.restart):
            m.d.sync += [
                beat.eq(0),
                self.ring.filled.eq(0),
                self.ring.oldest.eq(0),
                self.control.failed.eq(0),
            ]


class StreamedWeights(wiring.Component):
    """The weight memory of a core that streams: a ring, and the :class:`WeightStreamer` that fills it.

    Members
    -------
    axi, control, ring : Out(AxiRead(stream_bits)), In(StreamControl()), In(RingUse(config))
        Of the streamer.
    read : In(ReadPort(weight_rows, P * 8))
    """

    axi: wiring.PureInterface
    control: wiring.PureInterface
    ring: wiring.PureInterface
    read: wiring.PureInterface

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "axi": Out(AxiRead(config.stream_bits)),
                "control": In(StreamControl()),
                "ring": In(RingUse(config)),
                "read": In(ReadPort(config.weight_rows, config.lanes * config.weight_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.rows = rows = BlockRam(
            config.weight_rows, config.lanes * config.weight_bits, config.row_beats
        )
        m.submodules.streamer = streamer = WeightStreamer(config)
        connect(m, streamer.write, rows.write)
        connect(m, flipped(self.read), rows.read)
        connect(m, flipped(self.control), streamer.control)
        connect(m, flipped(self.ring), streamer.ring)
        connect(m, streamer.axi, flipped(self.axi))
        return m
