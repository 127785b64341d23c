"""The core: memories, units and the sequencer that starts them one after another."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import DESCRIPTOR_WORDS, Destination, Op
from sparta_rtl.attention import AttentionUnit
from sparta_rtl.cues import CueUnit
from sparta_rtl.gate import GateUnit
from sparta_rtl.host import AxiLite, HostPort
from sparta_rtl.layouts import descriptor_layout
from sparta_rtl.memory import BlockRam
from sparta_rtl.neuron_array import NeuronArray
from sparta_rtl.pool import PoolUnit
from sparta_rtl.results import ResultPort
from sparta_rtl.select import SelectUnit
from sparta_rtl.sequencer import UNIT_OPS, Sequencer
from sparta_rtl.stream_slice import StreamSlice
from sparta_rtl.trace import TraceSignature

__all__ = ["Core", "host_members"]


def host_members() -> dict[str, wiring.Member]:
    """What a host sees of a core: registers, input spikes, results (docs/host.md)."""
    return {
        "axil": In(AxiLite()),
        "spikes": In(stream.Signature(32)),
        "results": Out(stream.Signature(unsigned(33))),
    }


class Core(wiring.Component):
    """A spiking transformer core (Verilog module ``sparta_core``); docs/host.md describes its ports.

    Members
    -------
    axil : In(AxiLite())
    spikes : In(stream.Signature(32))
    results : Out(stream.Signature(33))
    trace : Out(TraceSignature(config))
    """

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                **host_members(),
                "trace": Out(TraceSignature(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        segments = config.segments

        m.submodules.host = self._host = HostPort(config)
        m.submodules.spike_memory = self._spikes = BlockRam(
            config.spike_lines, config.line * config.steps, segments
        )
        m.submodules.weight_memory = self._weights = BlockRam(
            config.weight_rows, config.lanes * config.weight_bits
        )
        m.submodules.program_memory = program = BlockRam(config.layers * DESCRIPTOR_WORDS, 32)
        m.submodules.cycle_counters = cycle_counters = BlockRam(config.layers, 32)
        m.submodules.entry_counters = entry_counters = BlockRam(config.layers, 32)

        aborted = Signal()
        m.d.sync += aborted.eq(self._host.abort)
        abortable = ResetInserter(aborted)
        self._sequencer = Sequencer(config)
        self._array, self._cues, self._select = NeuronArray(config), CueUnit(config), SelectUnit(config)
        self._gate, self._pool, self._attention = GateUnit(config), PoolUnit(config), AttentionUnit(config)
        self._results = ResultPort(config)
        m.submodules.sequencer = abortable(self._sequencer)
        m.submodules.array = abortable(self._array)
        m.submodules.cues = abortable(self._cues)
        m.submodules.select = abortable(self._select)
        m.submodules.gate = abortable(self._gate)
        m.submodules.attention = abortable(self._attention)
        m.submodules.pool = abortable(self._pool)
        m.submodules.result_port = abortable(self._results)

        connect(m, flipped(self.axil), self._host.axil)
        connect(m, flipped(self.spikes), self._host.spikes)
        connect(m, self._results.o, flipped(self.results))
        connect(m, self._host.program, program.write)
        connect(m, self._sequencer.program, program.read)
        connect(m, self._host.weights, self._weights.write)
        connect(m, self._array.weights, self._weights.read)
        connect(m, self._host.tables, self._select.tables)
        connect(m, self._sequencer.counter, cycle_counters.write)
        connect(m, self._host.counter_cycles, cycle_counters.read)
        connect(m, self._host.counter_entries, entry_counters.read)
        m.d.comb += [
            entry_counters.write.en.eq(self._sequencer.counter.en),
            entry_counters.write.addr.eq(self._sequencer.counter.addr),
            entry_counters.write.data.eq(
                Mux(self._sequencer.dones[UNIT_OPS.index(Op.LAYER)], self._array.entries, 0)
            ),
        ]
        connect(m, self._select.sums, self._cues.sums)
        connect(m, self._array.tokens, self._select.tokens)
        connect(m, self._attention.scores, self._select.scores)
        connect(m, self._gate.pool, self._pool.gate)

        self._control(m)
        self._array_results(m)
        self._attention_results(m, abortable)
        self._spike_memory(m)
        self._trace(m)
        return m

    def _control(self, m: Module) -> None:
        host, sequencer = self._host, self._sequencer
        units: dict[Op, Any] = {
            Op.LAYER: self._array,
            Op.SELECT: self._select,
            Op.GATE: self._gate,
            Op.ATTEND: self._attention,
            Op.POOL: self._pool,
        }
        for n, op in enumerate(UNIT_OPS):
            m.d.comb += [
                units[op].start.eq(sequencer.starts[n]),
                sequencer.dones[n].eq(units[op].done),
                Signal.cast(units[op].layer).eq(sequencer.descriptor),
            ]
        m.d.comb += [
            host.busy.eq(sequencer.busy),
            host.finished.eq(sequencer.done),
            host.topk_clamped.eq(sequencer.topk_clamped),
            host.cycles.eq(sequencer.cycles),
            sequencer.start.eq(host.start),
            sequencer.topk_request.eq(host.topk),
            sequencer.hold.eq(~(self._cues.idle & self._pool.idle & self._results.idle)),
            self._array.topk.eq(sequencer.topk),
            self._select.topk.eq(sequencer.topk),
            self._attention.topk.eq(sequencer.topk),
            self._gate.selected.eq(self._select.selected),
        ]

    def _array_results(self, m: Module) -> None:
        """Spikes to memory and cue unit; integers to Q, K, V or the result port."""
        config, array, attention = self._config, self._array, self._attention
        self._layer = layer = Signal(descriptor_layout(Op.LAYER))
        items, cues = array.o_spikes, self._cues
        m.d.comb += [
            layer.eq(self._sequencer.descriptor),
            cues.i.payload.eq(items.payload),
            cues.i.valid.eq(items.valid & layer.cues),
            cues.steps.eq(layer.steps),
            cues.outputs.eq(layer.outputs),
            items.ready.eq(~layer.cues | cues.i.ready),
        ]
        values, results = array.o_values, self._results
        to_results = Signal()
        m.d.comb += [
            to_results.eq(layer.destination == Destination.LOGITS),
            results.i.payload.eq(values.payload),
            results.i.valid.eq(values.valid & to_results),
            results.outputs.eq(layer.outputs),
            values.ready.eq(~to_results | results.i.ready),
        ]
        self._value_row = row = Signal.like(attention.query.addr)
        self._value_data = packed = Signal(config.lanes * config.token_bits)
        next_row = Signal.like(row)
        m.d.comb += [
            packed.eq(Cat(value[: config.token_bits] for value in values.payload.values)),
            row.eq(next_row),
        ]
        with m.If(values.payload.position == 0):
            m.d.comb += row.eq(values.payload.tile)
        with m.If(values.valid & ~to_results):
            m.d.sync += next_row.eq(row + layer.tiles)
        for destination, port in (
            (Destination.QUERY, attention.query),
            (Destination.KEY, attention.key),
            (Destination.VALUE, attention.value),
        ):
            m.d.comb += [
                port.en.eq(values.valid & (layer.destination == destination)),
                port.addr.eq(row),
                port.data.eq(packed),
            ]

    def _attention_results(self, m: Module, abortable: ResetInserter) -> None:
        attend = Signal(descriptor_layout(Op.ATTEND))
        o = self._attention.o
        m.submodules.attention_slice = abortable(sums := StreamSlice(self._pool.i.payload.shape()))
        connect(m, sums.o, self._pool.i)
        m.d.comb += [
            attend.eq(self._sequencer.descriptor),
            sums.i.valid.eq(o.valid),
            sums.i.payload.feature.eq(o.payload.feature),
            sums.i.payload.value.eq(o.payload.value << attend.pool_shift),
            o.ready.eq(sums.i.ready),
        ]

    def _spike_memory(self, m: Module) -> None:
        config, read, write = self._config, self._spikes.read, self._spikes.write
        readers = (self._array.spikes, self._gate.spikes)
        for reader in readers:
            m.d.comb += reader.data.eq(read.data)
        m.d.comb += [read.en.eq(readers[0].en), read.addr.eq(readers[0].addr)]
        with m.If(readers[1].en):
            m.d.comb += [read.en.eq(1), read.addr.eq(readers[1].addr)]

        item = self._array.o_spikes
        segments = config.segments
        m.d.comb += [
            write.addr.eq(item.payload.line),
            write.data.eq(Signal.cast(item.payload.words).replicate(segments)),
        ]
        with m.If(item.valid & item.ready):
            m.d.comb += write.en.eq(1 << item.payload.segment)
        for port in (self._host.line, self._gate.write, self._pool.write):
            with m.If(port.en.any()):
                m.d.comb += [write.en.eq(port.en), write.addr.eq(port.addr), write.data.eq(port.data)]

    def _trace(self, m: Module) -> None:
        trace, write, values = self.trace, self._spikes.write, self._array.o_values
        select, o = self._select, self._attention.o
        m.d.comb += [
            trace.layer.eq(self._sequencer.layer),
            trace.layer_busy.eq(self._sequencer.layer_busy),
            trace.spikes.valid.eq(write.en.any() & self._sequencer.busy),
            trace.spikes.line.eq(write.addr),
            trace.spikes.mask.eq(write.en),
            trace.spikes.data.eq(write.data),
            trace.values.valid.eq(values.valid & (self._layer.destination != Destination.LOGITS)),
            trace.values.destination.eq(self._layer.destination),
            trace.values.row.eq(self._value_row),
            trace.values.data.eq(self._value_data),
            trace.score.valid.eq(select.score_valid),
            trace.score.token.eq(select.score_token),
            trace.score.value.eq(select.score_value),
            trace.select.valid.eq(select.select_valid),
            trace.select.rank.eq(select.select_rank),
            trace.select.token.eq(select.select_token),
            trace.attention.valid.eq(o.valid & o.ready),
            trace.attention.rank.eq(o.payload.rank),
            trace.attention.feature.eq(o.payload.feature),
            trace.attention.value.eq(o.payload.value),
        ]
