"""The sequence of a layer's tiles: when the weights of each one are read, and when it begins to fire."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_rtl.layouts import descriptor_layout
from sparta_rtl.pipeline import is_next
from sparta_rtl.weight_stream import RingUse

__all__ = ["TileSequence", "streamed_ports"]


def streamed_ports(config: CoreConfig) -> dict[str, wiring.Member]:
    """``ring``, ``waiting`` and ``stalls`` of :class:`TileSequence`, where weights are streamed."""
    return {"ring": Out(RingUse(config)), "waiting": Out(1), "stalls": Out(32)} if config.stream_bits else {}


class TileSequence(wiring.Component):
    """A tile's entries are issued while the fire stage is busy with the tile before.

    Each tile has a block of weight rows, its header rows first. These are read when the last entry of the tile before
    has been issued and the parameters of that one have left their place for the fire stage; entries follow. Where lanes
    share the fire stage, which keeps parameters of one tile, the fire stage must have come to its end, too.

    Members
    -------
    start, done : In(1), Out(1)
        Pulses. ``done`` comes when every result has been accepted.
    layer : In(descriptor_layout(Op.LAYER))
    hold : In(1)
        The fire stage does not begin the next tile.
    issued : In(1)
        Pulse: the last weight row of the tile is read in this cycle.
    idle : In(1)
        The fire stage has sent all results of its tile.
    opens : Out(1)
        Pulse: entries of the next tile may be issued; its header rows are read by then.
    fires, tile : Out(1), Out(10)
        Pulse: the fire stage begins a tile, with the parameters that have arrived; from the next cycle on, which one.
    read, row : Out(1), Out(range(weight_rows))
        A header row is read in this cycle.
    first_weight : Out(range(weight_rows))
        Weight row of entry 0 of the layer's first tile, from the cycle after ``start`` on.
    ring, waiting, stalls : Out(RingUse(config)), Out(1), Out(32)
        Of a core that streams weights only: the tiles lie one behind the other in ``weights``, and each is released
        when its last row is read; in this cycle a tile waits for its rows; cycles of that since ``start``.

    Latency: the first header row is read two cycles after a tile begins, which is ``start`` (with streamed weights one
    cycle later, and when its rows have been there for a cycle), ``issued`` of the tile before, or the cycle after it
    began to fire; ``opens`` H - 2 cycles after that, H header rows, so that the first weights follow the last of them.
    """

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "layer": In(descriptor_layout(Op.LAYER)),
                "hold": In(1),
                "issued": In(1),
                "idle": In(1),
                "opens": Out(1),
                "fires": Out(1),
                "tile": Out(10),
                "read": Out(1),
                "row": Out(range(config.weight_rows)),
                "first_weight": Out(range(config.weight_rows)),
                **streamed_ports(config),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer
        begin = Signal()
        begun = Signal()  # a tile that does not fire yet
        tile = Signal.like(layer.tiles)
        last_tile = Signal()
        free = ~begun if self._config.fire_share == 1 else self.idle & ~self.hold
        m.d.sync += last_tile.eq(is_next(tile, layer.tiles))
        with m.FSM() as fsm:
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += tile.eq(0)
                m.next = "WAIT" if self._config.stream_bits else "TILE"
            with m.State("WAIT"), m.If(begin):
                m.next = "TILE"
            with m.State("TILE"), m.If(self.issued):
                m.d.sync += tile.eq(tile + 1)
                with m.If(last_tile):
                    m.next = "LAST"
                with m.Elif(~begin):
                    m.next = "WAIT"
            with m.State("LAST"), m.If(self.idle & ~begun):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        due = fsm.ongoing("WAIT") | (fsm.ongoing("TILE") & self.issued & ~last_tile)
        if self._config.stream_bits:
            block, there = self._ring(m, fsm.ongoing("TILE"), due & free)
            m.d.comb += begin.eq(due & free & there)
        else:
            block = self._block(m)
            m.d.comb += begin.eq((due & free) | (fsm.ongoing("IDLE") & self.start))
        arrived = self._header(m, begin, block)
        self._fire(m, begin, begun, arrived)
        m.d.sync += self.first_weight.eq(
            (block if self._config.stream_bits else layer.weight_base) + self._config.header_rows
        )
        return m

    def _block(self, m: Module) -> Signal:
        """First row of the tile's weights."""
        block = Signal.like(self.row)
        with m.If(self.start):
            m.d.sync += block.eq(self.layer.weight_base)
        with m.Elif(self.issued):
            m.d.sync += block.eq(block + self.layer.weight_pitch)
        return block

    def _ring(self, m: Module, issuing: Value, due: Value) -> tuple[Value, Signal]:
        """The same where blocks follow one another in a ring; whether all rows of the next one are there."""
        layer, ring = self.layer, self.ring
        there = Signal()
        m.d.comb += [
            ring.release.eq(self.issued),
            ring.released.eq(layer.weight_pitch),
            self.waiting.eq(due & ~there),
        ]
        m.d.sync += there.eq(ring.filled >= Mux(issuing, layer.weight_pitch << 1, layer.weight_pitch))
        with m.If(self.start):
            m.d.sync += self.stalls.eq(0)
        with m.Else():
            m.d.sync += self.stalls.eq(self.stalls + self.waiting)
        return ring.oldest, there

    def _header(self, m: Module, begin: Signal, block: Value) -> Signal:
        """Reads the header rows; whether the last one has arrived."""
        rows = self._config.header_rows
        count = Signal(range(rows + 1), init=rows)
        reads = Signal()
        arrived = Signal()
        m.d.comb += [reads.eq(count != rows), self.opens.eq(count == rows - 3)]
        with m.If(begin):
            m.d.sync += count.eq(0)
        with m.Elif(reads):
            m.d.sync += count.eq(count + 1)
        m.d.sync += [
            self.read.eq(reads),
            self.row.eq(block + count),
            arrived.eq(~(begin | reads | self.read)),
        ]
        return arrived

    def _fire(self, m: Module, begin: Signal, begun: Signal, arrived: Signal) -> None:
        """When the next tile fires; ``begun`` : there is one that does not yet."""
        following = Signal.like(self.tile)
        if self._config.fire_share > 1:
            m.d.comb += self.fires.eq(begin)
        else:
            m.d.comb += self.fires.eq(begun & arrived & self.idle & ~self.hold)
            with m.If(begin):
                m.d.sync += begun.eq(1)
            with m.Elif(self.fires):
                m.d.sync += begun.eq(0)
        with m.If(self.fires):
            m.d.sync += [self.tile.eq(following), following.eq(following + 1)]
        with m.If(self.done):
            m.d.sync += following.eq(0)
