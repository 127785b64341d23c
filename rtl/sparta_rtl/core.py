"""The core: memories, neuron array, the units around it, and the sequencer that starts them one after another."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import DESCRIPTOR_WORDS, Destination, Op
from sparta_rtl.core_trace import connect_trace
from sparta_rtl.counts import CountUnit
from sparta_rtl.host import AxiLite, HostPort
from sparta_rtl.layouts import descriptor_layout
from sparta_rtl.memory import BlockRam
from sparta_rtl.neuron_array import NeuronArray
from sparta_rtl.sequencer import UNIT_OPS, Sequencer
from sparta_rtl.stop import StopChain
from sparta_rtl.token_path import TokenPath, share
from sparta_rtl.trace import TraceSignature
from sparta_rtl.weight_stream import AxiRead, StreamedWeights

__all__ = ["Core", "host_members"]


def host_members(config: CoreConfig) -> dict[str, wiring.Member]:
    """What a host sees of a core: registers, input spikes, results, and a memory of streamed weights (docs/host.md)."""
    memory = {"m_axi": Out(AxiRead(config.stream_bits))} if config.stream_bits else {}
    return {
        "axil": In(AxiLite()),
        "spikes": In(stream.Signature(32)),
        "results": Out(stream.Signature(unsigned(33))),
        **memory,
    }


class Core(wiring.Component):
    """A core for spiking transformers or plain spiking networks (Verilog module ``sparta_core``); ports: docs/host.md.

    Members
    -------
    axil : In(AxiLite())
    spikes : In(stream.Signature(32))
    results : Out(stream.Signature(33))
    m_axi : Out(AxiRead(stream_bits))
        Only if weights are streamed.
    trace : Out(TraceSignature(config))
    """

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                **host_members(config),
                "trace": Out(TraceSignature(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.host = self.host = HostPort(config)
        m.submodules.spike_memory = self.spike_memory = BlockRam(
            config.spike_lines, config.line * config.steps, config.segments
        )
        self.weight_memory = StreamedWeights(config) if config.stream_bits else _weight_memory(config)
        m.submodules.weight_memory = self.weight_memory
        m.submodules.program_memory = program = BlockRam(config.layers * DESCRIPTOR_WORDS, 32)

        self.abortable = stop = StopChain(m)
        self.sequencer, self.array = Sequencer(config), NeuronArray(config)
        m.submodules.array = stop(self.array)
        m.submodules.sequencer = stop(self.sequencer)
        connect(m, flipped(self.axil), self.host.axil)
        connect(m, flipped(self.spikes), self.host.spikes)
        connect(m, self.host.program, program.write)
        connect(m, self.sequencer.program, program.read)
        if config.stream_bits:
            self._stream_weights(m)
        else:
            connect(m, self.host.weights, self.weight_memory.write)
        connect(m, self.array.weights, self.weight_memory.read)
        self.layer = self.array.layer
        self.tokens = TokenPath(m, self, config) if config.attention else None
        self.counts = self._count_unit(m) if config.counts else None
        self._counters(m)
        self._control(m)
        self._results(m)
        self._access_spikes(m)
        stop.pulse(self.host.abort | self.host.lost if config.stream_bits else self.host.abort)
        m.d.comb += self.host.hold.eq(stop.holds)
        connect_trace(m, self)
        return m

    def _stream_weights(self, m: Module) -> None:
        """Weights from external memory; an inference that waits for those that do not come ends."""
        host, array, weights = self.host, self.array, self.weight_memory
        connect(m, weights.axi, flipped(self.m_axi))
        connect(m, host.stream, weights.control)
        connect(m, array.ring, weights.ring)
        m.d.comb += host.lost.eq(array.waiting & weights.control.failed)
        with m.If(host.start):
            m.d.sync += host.stream_stalls.eq(0)
        with m.Elif(array.waiting):
            m.d.sync += host.stream_stalls.eq(host.stream_stalls + 1)
        m.submodules.stall_counters = stalls = BlockRam(self._config.layers, 32)
        connect(m, host.counter_stalls, stalls.read)
        counter = self.sequencer.counter
        m.d.comb += [
            stalls.write.en.eq(counter.en),
            stalls.write.addr.eq(counter.addr),
            stalls.write.data.eq(Mux(self.sequencer.descriptor[:8] == Op.LAYER, array.stalls, 0)),
        ]

    def _count_unit(self, m: Module) -> CountUnit:
        """Spikes that are the answer are counted while they are written."""
        counts, items = CountUnit(self._config), self.array.o_spikes
        m.submodules.counts = self.abortable(counts)
        if self.tokens is None:
            m.d.comb += items.ready.eq(1)
        counted = self.layer.destination == Destination.COUNTS
        m.d.comb += [
            counts.valid.eq(items.valid & items.ready & counted),
            counts.i.eq(items.payload),
            counts.slots.eq(self.layer.slots),
            counts.outputs.eq(self.layer.outputs),
            self.array.hold.eq(counts.busy),
        ]
        return counts

    def _counters(self, m: Module) -> None:
        """Cycles and active entries of each descriptor."""
        config = self._config
        m.submodules.cycle_counters = cycles = BlockRam(config.layers, 32)
        m.submodules.entry_counters = entries = BlockRam(config.layers, 32)
        counter = self.sequencer.counter
        connect(m, counter, cycles.write)
        connect(m, self.host.counter_cycles, cycles.read)
        connect(m, self.host.counter_entries, entries.read)
        m.d.comb += [
            entries.write.en.eq(counter.en),
            entries.write.addr.eq(counter.addr),
            entries.write.data.eq(Mux(self.sequencer.descriptor[:8] == Op.LAYER, self.array.entries, 0)),
        ]

    def _control(self, m: Module) -> None:
        host, sequencer, tokens = self.host, self.sequencer, self.tokens
        units: dict[Op, Any] = {Op.LAYER: self.array} | (tokens.units if tokens else {})
        for n, op in enumerate(UNIT_OPS):
            if op not in units:
                continue
            unit = units[op]
            descriptor = Signal(descriptor_layout(op), name=f"descriptor_{op.name.lower()}", reset_less=True)
            with m.If(sequencer.loads[n]):
                m.d.sync += descriptor.eq(sequencer.descriptor)
            m.d.comb += [
                unit.start.eq(sequencer.starts[n]),
                sequencer.dones[n].eq(tokens.attended(m) if tokens and op is Op.ATTEND else unit.done),
                Signal.cast(unit.layer).eq(descriptor.as_value()),
            ]
        working = [self.counts.busy] if self.counts else []
        if tokens:
            working += [~unit.idle for unit in tokens.background]
        m.d.comb += [
            host.busy.eq(sequencer.busy & ~self.abortable.holds),
            host.finished.eq(sequencer.done),
            host.cycles.eq(sequencer.cycles),
            sequencer.start.eq(host.start),
            sequencer.hold.eq(Cat(working).any()),
        ]

    def _results(self, m: Module) -> None:
        """Logits and counts, whichever there are; a program has one of them."""
        sources = [self.tokens.result_port.o] if self.tokens else []
        if self.counts:
            sources.append(self.counts.o)
        for source in sources:
            m.d.comb += source.ready.eq(self.results.ready)
            with m.If(source.valid):
                m.d.comb += [self.results.valid.eq(1), self.results.payload.eq(source.payload)]

    def _access_spikes(self, m: Module) -> None:
        """Readers and writers of the spike memory, one at a time; what is written passes a register."""
        read, write, tokens = self.spike_memory.read, self.spike_memory.write, self.tokens
        items = tokens.spikes if tokens else self.array.o_spikes
        share(m, read, (self.array.spikes, *(tokens.spike_readers if tokens else ())))
        segments = self._config.segments
        m.d.sync += [
            write.en.eq(0),
            write.addr.eq(items.payload.line),
            write.data.eq(Signal.cast(items.payload.words).replicate(segments)),
        ]
        with m.If(items.valid & items.ready):
            m.d.sync += write.en.eq(1 << items.payload.segment)
        for port in (self.host.line, *(tokens.spike_writers if tokens else ())):
            with m.If(port.en.any()):
                m.d.sync += [write.en.eq(port.en), write.addr.eq(port.addr), write.data.eq(port.data)]


def _weight_memory(config: CoreConfig) -> BlockRam:
    return BlockRam(config.weight_rows, config.lanes * config.weight_bits)
