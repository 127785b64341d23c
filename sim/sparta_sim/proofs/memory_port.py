"""The weight streamer: what it asks for, what it keeps, and what it never does on its AXI port."""

from amaranth.hdl import Assert, Assume, Module, Mux, Signal, Value

from sparta_hw.config import CoreConfig
from sparta_rtl.weight_stream import PAGE_BITS, WeightStreamer
from sparta_sim.proofs.contract import Contract

__all__ = ["StreamerContract"]

CONFIG = CoreConfig(name="proof", lanes=8, line=8, weight_rows=8, stream_bits=32)
"""Two beats a row, a ring of 16 beats, bursts of 2."""

_RING, _BURST, _BEAT_BYTES = 16, 2, 4
_COUNT_BITS = 6


class StreamerContract(Contract):
    """Beat n since a restart goes to place n of the ring, after what lay there was released, and only once.

    The memory answers in order, any number of cycles later, and only what was asked for, well or badly; rows that are
    there are released at any time; an image of any length begins anew at any time, also in mid-burst. Addresses follow
    one another through the image, again and again, never before the ring has room for their beats, and an offered one
    stays. No beat of before a restart is kept, and none from the first bad one on.
    """

    def __init__(self, streamer: type[WeightStreamer] = WeightStreamer) -> None:
        super().__init__()
        self._streamer = streamer
        self._rows, self._base = self.constant(range(1, 6), "rows"), self.constant(2, "base")
        self._restart, self._release = self.free(1, "restart"), self.free(1, "release")
        self._arready, self._rvalid = self.free(1, "arready"), self.free(1, "rvalid")
        self._bad, self._data = self.free(1, "bad"), self.free(2, "data")

    def elaborate(self, platform: object) -> Module:
        m = self.begin()
        m.submodules.unit = self._unit = unit = self._streamer(CONFIG)
        self._begun = begun = Signal()
        with m.If(self._restart):
            m.d.sync += begun.eq(1)
        m.d.comb += [
            unit.control.rows.eq(self._rows),
            unit.control.base.eq(self._base),
            unit.control.restart.eq(self._restart),
            unit.ring.release.eq(self._release),
            unit.ring.released.eq(1),
            unit.axi.arready.eq(self._arready),
            unit.axi.rvalid.eq(self._rvalid),
            unit.axi.rdata.eq(self._data),
            unit.axi.rresp.eq(self._bad << 1),
            Assume(self._rows != 0),
            Assume(~self._release | (begun & (unit.ring.filled != 0))),
        ]
        offered, length = self._port(m)
        stale = self._stale(m, offered, length)
        self._beats(m, offered & ~stale["burst"], length, self._rvalid & ~stale["beat"])
        return m

    def _port(self, m: Module) -> tuple[Value, Value]:
        """A memory that answers what was asked for; a new address, and its beats."""
        axi = self._unit.axi
        self._under_way = under_way = Signal(_COUNT_BITS)
        waits, held = Signal(), Signal(40)
        length = (axi.arlen + 1)[:_COUNT_BITS]
        m.d.sync += [
            under_way.eq(under_way + Mux(axi.arvalid & axi.arready, length, 0) - axi.rvalid),
            waits.eq(axi.arvalid & ~axi.arready),
            held.eq(axi.araddr << 8 | axi.arlen),
        ]
        m.d.comb += [
            Assume(~axi.rvalid | (under_way != 0)),
            Assert(axi.rready),
            Assert(axi.arvalid | ~waits),
            Assert(~waits | (held == (axi.araddr << 8 | axi.arlen))),
            Assert(self._begun | ~axi.arvalid),
        ]
        return axi.arvalid & ~waits, length

    def _stale(self, m: Module, offered: Value, length: Value) -> dict[str, Value]:
        """Bursts and beats of before the last restart; one may be offered in the cycle after it."""
        left, restarted = Signal(_COUNT_BITS), Signal()
        axi = self._unit.axi
        waits = Mux(axi.arvalid & ~axi.arready, length, 0)
        late = Mux(restarted & offered, length, 0)
        taken = Mux(axi.arvalid & axi.arready, length, 0)
        m.d.sync += restarted.eq(self._restart)
        with m.If(self._restart):
            m.d.sync += left.eq(self._under_way + taken + waits - axi.rvalid)
        with m.Else():
            m.d.sync += left.eq(left + late - (axi.rvalid & (left != 0)))
        return {"burst": restarted, "beat": left != 0}

    def _beats(self, m: Module, asks: Value, length: Value, answered: Value) -> None:
        """Places in the ring, rows that are there, addresses; all counted since the restart."""
        unit, axi, write = self._unit, self._unit.axi, self._unit.write
        asked, beats, freed = (Signal(_COUNT_BITS, name=name) for name in ("asked", "beats", "freed"))
        place, failed = Signal(_COUNT_BITS), Signal()  # beats from the image's begin to the next address
        kept = answered & ~self._bad & ~failed & self._begun
        image = self._rows << 1
        rest = image - place
        counts = self._begun & ~self._restart
        m.d.comb += [
            Assert(~counts | ~asks | (length == Mux(rest < _BURST, rest, _BURST))),
            Assert(~counts | ~asks | (axi.araddr == (self._base << PAGE_BITS) + place * _BEAT_BYTES)),
            Assert(~counts | ~asks | (asked + length <= _RING + (freed << 1))),
            Assert(~counts | (write.en == Mux(kept, 1 << beats[0], 0))),
            Assert(~counts | ~kept | (write.addr == beats[1:4])),
            Assert(~counts | ~kept | (write.data == axi.rdata.replicate(2))),
            Assert(~counts | (unit.ring.filled == (beats >> 1) - freed)),
            Assert(~counts | (unit.ring.oldest == freed[:3])),
            Assert(~counts | (unit.control.failed == failed)),
            Assume(asked < (1 << _COUNT_BITS) - 4),
        ]
        with m.If(self._restart):
            m.d.sync += [asked.eq(0), beats.eq(0), freed.eq(0), place.eq(0), failed.eq(0)]
        with m.Else():
            m.d.sync += [
                beats.eq(beats + kept),
                freed.eq(freed + self._release),
                failed.eq(failed | (self._begun & answered & self._bad)),
            ]
            with m.If(asks):
                m.d.sync += [asked.eq(asked + length), place.eq(Mux(rest <= length, 0, place + length))]
