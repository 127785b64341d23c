"""The POOL unit: one sum per feature over gated tokens and attention rows, written back as 8-bit integers."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_rtl.layouts import descriptor_layout
from sparta_rtl.memory import BlockRam, WritePort
from sparta_rtl.pipeline import saturate
from sparta_rtl.planes import plane_lines

__all__ = ["PoolUnit", "pool_depth", "pool_item_layout"]


def pool_depth(config: CoreConfig) -> int:
    """Sums of the pool memory: ``max_features`` rounded up to whole lines."""
    return -(-config.max_features // config.line) * config.line


def pool_item_layout(config: CoreConfig) -> data.StructLayout:
    """An addend of one pooled feature, already on the grid of the sums."""
    return data.StructLayout({"feature": range(pool_depth(config)), "value": signed(config.pool_bits)})


class PoolUnit(wiring.Component):
    """Owns the pool memory: the gate sets its sums, attention adds to them, and POOL turns them into planes.

        pooled[d] = sat_s8(sum[d] >> shift)

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    gate : In(WritePort(pool_depth(config), pool_bits))
        Sets a sum.
    i : In(stream.Signature(pool_item_layout(config)))
        Adds to a sum, one item per cycle; an item waits while its feature was among the two before it, and
        while POOL runs.
    idle : Out(1)
        All items are in memory, and nothing is offered.
    start, done : In(1), Out(1)
        Only while idle.
    layer : In(descriptor_layout(Op.POOL))
    write : Out(WritePort(spike_lines, line * steps, line // lanes))
        Feature chunk * L + e is entry e of the ``ceil(8 / S)`` lines from ``out_base + chunk * ceil(8 / S)``.

    Notes
    -----
    ``cycles = chunks * (L + ceil(8 / S) + 3) + 1`` (``sparta_sim/cycles/tokens.py``).
    """

    gate: wiring.PureInterface
    i: stream.Interface
    idle: Signal
    start: Signal
    done: Signal
    layer: Signal
    write: wiring.PureInterface

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "gate": In(WritePort(pool_depth(config), config.pool_bits)),
                "i": In(stream.Signature(pool_item_layout(config))),
                "idle": Out(1),
                "start": In(1),
                "done": Out(1),
                "layer": In(descriptor_layout(Op.POOL)),
                "write": Out(WritePort(config.spike_lines, config.line * config.steps, config.segments)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.memory = memory = BlockRam(pool_depth(config), config.pool_bits)
        sum_read = Signal(signed(config.pool_bits))
        m.d.sync += sum_read.eq(memory.read.data)

        reading = Signal()
        feature = Signal(range(pool_depth(config)))
        accept = self._add(m, memory, sum_read, reading)
        m.d.comb += [
            memory.read.en.eq(accept | reading),
            memory.read.addr.eq(Mux(reading, feature, self.i.payload.feature)),
        ]
        self._pool(m, sum_read, reading, feature)
        return m

    def _add(self, m: Module, memory: BlockRam, sum_read: Signal, reading: Signal) -> Signal:
        """Read (``accept``), register (``fetched``), add and write (``adding``)."""
        item = self.i.payload
        fetched = Signal()
        adding = Signal()
        fetched_item = Signal.like(item)
        adding_item = Signal.like(item)
        accept = Signal()
        hazard = Signal()
        m.d.comb += [
            hazard.eq(
                (fetched & (fetched_item.feature == item.feature))
                | (adding & (adding_item.feature == item.feature))
            ),
            self.i.ready.eq(~hazard & ~reading),
            accept.eq(self.i.valid & self.i.ready),
            self.idle.eq(~self.i.valid & ~fetched & ~adding),
            memory.write.en.eq(self.gate.en | adding),
            memory.write.addr.eq(Mux(adding, adding_item.feature, self.gate.addr)),
            memory.write.data.eq(Mux(adding, sum_read + adding_item.value, self.gate.data)),
        ]
        m.d.sync += [
            fetched.eq(accept),
            fetched_item.eq(item),
            adding.eq(fetched),
            adding_item.eq(fetched_item),
        ]
        return accept

    def _pool(self, m: Module, sum_read: Signal, reading: Signal, feature: Signal) -> None:
        """Read L sums (``reading``), shift and saturate them into ``values`` three cycles later, write them."""
        config, layer = self._config, self.layer
        bits = config.token_bits
        fetched = Signal()
        arrived = Signal()
        settled = Signal()
        shifted = Signal.like(sum_read, reset_less=True)
        values = Signal(data.ArrayLayout(bits, config.line), reset_less=True)
        m.d.sync += [
            fetched.eq(reading),
            arrived.eq(fetched),
            settled.eq(arrived),
            shifted.eq(sum_read >> layer.shift),
        ]
        with m.If(settled):
            m.d.sync += values.eq(Cat(values.as_value()[bits:], saturate(shifted, bits)))

        lines = plane_lines(config, values)
        entry = Signal(range(config.line))
        plane = Signal(range(len(lines)))
        chunk = Signal.like(layer.chunks)
        line = Signal.like(layer.out_base)
        m.d.comb += [
            self.write.addr.eq(line),
            self.write.data.eq(Cat(lines).word_select(plane, config.line * config.steps)),
        ]
        last_chunk = Signal()
        m.d.sync += [self.done.eq(0), last_chunk.eq(chunk == layer.chunks - 1)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [feature.eq(0), entry.eq(0), plane.eq(0), chunk.eq(0), line.eq(layer.out_base)]
                with m.If(self.start):
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += reading.eq(1)
                m.d.sync += [feature.eq(feature + 1), entry.eq(entry + 1)]
                with m.If(entry == config.line - 1):
                    m.d.sync += entry.eq(0)
                    m.next = "FLUSH"
            with m.State("FLUSH"), m.If(~arrived):
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += self.write.en.eq(~0)
                m.d.sync += [plane.eq(plane + 1), line.eq(line + 1)]
                with m.If(plane == len(lines) - 1):
                    m.d.sync += [plane.eq(0), chunk.eq(chunk + 1)]
                    with m.If(last_chunk):
                        m.d.sync += self.done.eq(1)
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "READ"
