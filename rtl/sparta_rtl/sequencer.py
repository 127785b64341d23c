"""The sequencer: fetches one descriptor after the other and lets its unit run."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import DESCRIPTOR_BITS, DESCRIPTOR_WORDS, USED_WORDS, Op
from sparta_rtl.memory import ReadPort, WritePort

__all__ = ["FETCH_CYCLES", "HANDOVER_CYCLES", "UNIT_OPS", "Sequencer"]

FETCH_CYCLES = USED_WORDS + 2
"""Cycles to fetch a descriptor and to decide what it is."""

HANDOVER_CYCLES = 2
"""The registers between sequencer and unit: one of its ``start``, one of its ``done``."""

UNIT_OPS = tuple(op for op in Op if op is not Op.END)
"""Descriptors that a unit executes; bit ``op - 1`` of ``starts`` and ``dones``."""


class Sequencer(wiring.Component):
    """Executes the program in order.

    With u(i) the cycles of unit i from its start to its done, an inference of n descriptors takes
    ``sum(u(i) + HANDOVER_CYCLES) + (n + 1) * FETCH_CYCLES`` cycles (END is fetched too), plus the cycles in which
    ``hold`` postpones a start.

    Members
    -------
    start : In(1)
        Begin an inference with descriptor 0.
    hold : In(1)
        A unit still works in the background; the next start, or the end, waits, a cycle longer than it.
    program : Out(ReadPort(layers * 16, 32))
    descriptor : Out(512)
        The descriptor in progress; a unit keeps its own copy.
    loads, starts, dones : Out, Out, In (one bit per op of ``UNIT_OPS``)
        A unit takes the descriptor with ``loads``, begins with ``starts`` in the cycle after, and ends with ``dones``.
    busy : Out(1)
    done : Out(1)
        One cycle, when END was reached.
    layer, layer_busy : Out(range(layers)), Out(1)
        Index of the descriptor, and whether its unit runs.
    cycles : Out(32)
        Cycles of this inference so far; kept when it has ended.
    counter : Out(WritePort(layers, 32))
        Each descriptor's cycles, written at its done.
    """

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "hold": In(1),
                "program": Out(ReadPort(config.layers * DESCRIPTOR_WORDS, 32)),
                "descriptor": Out(DESCRIPTOR_BITS),
                "loads": Out(len(UNIT_OPS)),
                "starts": Out(len(UNIT_OPS)),
                "dones": In(len(UNIT_OPS)),
                "busy": Out(1),
                "done": Out(1),
                "layer": Out(range(config.layers)),
                "layer_busy": Out(1),
                "cycles": Out(32),
                "counter": Out(WritePort(config.layers, 32)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = Signal(32 * USED_WORDS, reset_less=True)
        word = Signal(range(USED_WORDS + 1))
        elapsed = Signal(32)
        op = Signal(8)
        unit = Signal(len(UNIT_OPS))
        end = Signal()
        ended = Signal()
        held = Signal()
        m.d.comb += [
            self.descriptor.eq(words),
            self.program.en.eq(1),
            self.program.addr.eq(Cat(word[:4], self.layer)),
            self.counter.addr.eq(self.layer),
            self.counter.data.eq(elapsed),
        ]
        m.d.sync += [
            unit.eq(Cat(op == kind for kind in UNIT_OPS)),
            end.eq(op == Op.END),
            held.eq(self.hold),
            self.starts.eq(self.loads),
            ended.eq((self.dones & unit).any()),
        ]
        with m.If(self.busy):
            m.d.sync += self.cycles.eq(self.cycles + 1)
        m.d.sync += elapsed.eq(elapsed + 1)

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [
                        self.busy.eq(1),
                        self.layer.eq(0),
                        self.cycles.eq(0),
                        word.eq(0),
                    ]
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += word.eq(word + 1)
                with m.If(word != 0):
                    m.d.sync += words.eq(Cat(words[32:], self.program.data))
                with m.If(word == 1):
                    m.d.sync += op.eq(self.program.data)
                with m.If(word == USED_WORDS):
                    m.next = "DISPATCH"
            with m.State("DISPATCH"), m.If(~held):
                m.d.comb += [self.loads.eq(unit), self.done.eq(end)]
                m.d.sync += elapsed.eq(-1)
                m.next = "RUN"
                with m.If(end):
                    m.d.sync += self.busy.eq(0)
                    m.next = "IDLE"
            with m.State("RUN"):
                m.d.comb += self.layer_busy.eq(1)
                with m.If(ended):
                    m.d.comb += self.counter.en.eq(1)
                    m.d.sync += [self.layer.eq(self.layer + 1), word.eq(0)]
                    m.next = "FETCH"
        return m
