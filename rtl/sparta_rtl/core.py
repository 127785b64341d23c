"""The core: memories, units and the sequencer that starts them one after another."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import DESCRIPTOR_WORDS, Destination, Op
from sparta_rtl.attention import AttentionUnit
from sparta_rtl.core_trace import connect_trace
from sparta_rtl.cues import CueUnit
from sparta_rtl.feedback import FeedbackUnit
from sparta_rtl.gate import GateUnit
from sparta_rtl.gather import GatherUnit
from sparta_rtl.host import AxiLite, HostPort
from sparta_rtl.layouts import descriptor_layout
from sparta_rtl.memory import BlockRam
from sparta_rtl.neuron_array import NeuronArray
from sparta_rtl.pool import PoolUnit
from sparta_rtl.rank import RankUnit
from sparta_rtl.results import ResultPort
from sparta_rtl.score import ScoreUnit
from sparta_rtl.sequencer import UNIT_OPS, Sequencer
from sparta_rtl.stream_slice import StreamSlice
from sparta_rtl.token_writer import TokenWriter
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
    """A spiking transformer core (Verilog module ``sparta_core``); docs/host.md describes its ports.

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

        self._stop = Signal() if config.stream_bits else self.host.abort
        self._abortable = ResetInserter(self._stop)
        self.sequencer = Sequencer(config)
        self.array, self.cues = NeuronArray(config), CueUnit(config)
        self.score, self.rank = ScoreUnit(config), RankUnit(config)
        self.gate, self.gather = GateUnit(config), GatherUnit(config)
        self.attention, self.token_writer = AttentionUnit(config), TokenWriter(config)
        self.pool, self.result_port = PoolUnit(config), ResultPort(config)
        for name in (
            "sequencer",
            "array",
            "cues",
            "score",
            "rank",
            "gate",
            "gather",
            "attention",
            "token_writer",
            "pool",
            "result_port",
        ):
            m.submodules[name] = self._abortable(getattr(self, name))
        m.submodules.feedback = self.feedback = FeedbackUnit(config)

        connect(m, flipped(self.axil), self.host.axil)
        connect(m, flipped(self.spikes), self.host.spikes)
        connect(m, self.result_port.o, flipped(self.results))
        connect(m, self.host.program, program.write)
        connect(m, self.sequencer.program, program.read)
        if config.stream_bits:
            self._stream_weights(m)
        else:
            connect(m, self.host.weights, self.weight_memory.write)
        connect(m, self.array.weights, self.weight_memory.read)
        connect(m, self.host.scores, self.score.tables)
        connect(m, self.host.mlp, self.rank.mlp)
        connect(m, self.score.sums, self.cues.sums)
        connect(m, self.rank.gains, self.gate.gains)
        connect(m, self.gate.group, self.rank.group)
        connect(m, self.gather.tokens, self.rank.tokens)
        connect(m, self.attention.masks, self.rank.masks)
        connect(m, self.gate.pool, self.pool.gate)
        self._counters(m)
        self._control(m)
        self._shared_tables(m)
        self._array_results(m)
        self._attention_results(m)
        self._access_spikes(m)
        connect_trace(m, self)
        return m

    def _stream_weights(self, m: Module) -> None:
        """Weights from external memory; an inference that waits for those that do not come ends."""
        host, array, weights = self.host, self.array, self.weight_memory
        connect(m, weights.axi, flipped(self.m_axi))
        connect(m, host.stream, weights.control)
        connect(m, array.ring, weights.ring)
        m.d.comb += [
            host.lost.eq(array.waiting & weights.control.failed),
            self._stop.eq(host.abort | host.lost),
        ]
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
        host, sequencer, rank = self.host, self.sequencer, self.rank
        units: dict[Op, Any] = {
            Op.LAYER: self.array,
            Op.SCORE: self.score,
            Op.RANK: rank,
            Op.GATE: self.gate,
            Op.GATHER: self.gather,
            Op.ATTEND: self.attention,
            Op.POOL: self.pool,
            Op.FEEDBACK: self.feedback,
        }
        for n, op in enumerate(UNIT_OPS):
            descriptor = Signal(descriptor_layout(op), name=f"descriptor_{op.name.lower()}", reset_less=True)
            with m.If(sequencer.loads[n]):
                m.d.sync += descriptor.eq(sequencer.descriptor)
            m.d.comb += [
                units[op].start.eq(sequencer.starts[n]),
                sequencer.dones[n].eq(self._attended(m) if op is Op.ATTEND else units[op].done),
                Signal.cast(units[op].layer).eq(descriptor.as_value()),
            ]
        background = (self.cues, self.pool, self.result_port)
        m.d.comb += [
            host.busy.eq(sequencer.busy),
            host.finished.eq(sequencer.done),
            host.topk_clamped.eq(rank.topk_clamped),
            host.cycles.eq(sequencer.cycles),
            host.state.eq(self.feedback.state),
            sequencer.start.eq(host.start),
            sequencer.hold.eq(~Cat(unit.idle for unit in background).all()),
            rank.begin.eq(host.start),
            rank.topk_request.eq(host.topk),
            self.array.topk.eq(rank.topk),
            self.array.state.eq(self.feedback.state),
            self.gather.topk.eq(rank.topk),
            self.attention.topk.eq(rank.topk),
            self.gate.selected.eq(rank.selected),
            self.feedback.begin.eq(host.start),
            self.feedback.reset.eq(host.reset_state),
            self.feedback.load.eq(host.load_state),
            self.feedback.load_value.eq(host.state_value),
        ]

    def _attended(self, m: Module) -> Signal:
        """The attention unit is done and its last tokens are written."""
        last, done = Signal(), Signal()
        attend = self.attention.layer
        with m.If(self.attention.done):
            m.d.sync += last.eq(attend.to_tokens)
        with m.Elif(self.token_writer.idle):
            m.d.sync += last.eq(0)
        m.d.comb += done.eq(Mux(attend.to_tokens, last & self.token_writer.idle, self.attention.done))
        return done

    def _shared_tables(self, m: Module) -> None:
        """Factor tables that two units keep a part of; records that two units read, one at a time."""
        for unit in (self.rank, self.gate):
            m.d.comb += [
                unit.factors.en.eq(self.host.factors.en),
                unit.factors.addr.eq(self.host.factors.addr),
                unit.factors.data.eq(self.host.factors.data),
            ]
        _share(m, self.score.records, (self.rank.records, self.gate.records))

    def _array_results(self, m: Module) -> None:
        """Spikes to memory and cue unit; integers to Q, K, V or the result port."""
        config, array, attention = self._config, self.array, self.attention
        self.layer = layer = array.layer
        items, cues = array.o_spikes, self.cues
        m.d.comb += [
            cues.i.payload.eq(items.payload),
            cues.i.valid.eq(items.valid & layer.cues),
            cues.steps.eq(layer.out_steps),
            cues.cue_base.eq(layer.cue_base),
            cues.outputs.eq(layer.outputs),
            items.ready.eq(~layer.cues | cues.i.ready),
        ]
        values, results = array.o_values, self.result_port
        to_results = Signal()
        m.d.comb += [
            to_results.eq(layer.destination == Destination.LOGITS),
            results.i.payload.eq(values.payload),
            results.i.valid.eq(values.valid & to_results),
            results.outputs.eq(layer.outputs),
            values.ready.eq(~to_results | results.i.ready),
        ]
        self.value_row = row = Signal.like(attention.query.addr)
        self.value_data = packed = Signal(config.lanes * config.token_bits)
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

    def _attention_results(self, m: Module) -> None:
        """To the pool, or to the tokens of the next layer; and to the feedback controller's sum."""
        attend, o, writer = self.attention.layer, self.attention.o, self.token_writer
        sums = StreamSlice(self.pool.i.payload.shape())
        m.submodules.attention_slice = self._abortable(sums)
        connect(m, sums.o, self.pool.i)
        m.d.comb += [
            sums.i.valid.eq(o.valid & ~attend.to_tokens),
            sums.i.payload.feature.eq(o.payload.feature),
            sums.i.payload.value.eq(o.payload.value << attend.pool_shift),
            Signal.cast(writer.layer).eq(Signal.cast(attend)),
            writer.i.valid.eq(o.valid & attend.to_tokens),
            writer.i.payload.eq(o.payload),
            o.ready.eq(Mux(attend.to_tokens, writer.i.ready, sums.i.ready)),
            self.feedback.valid.eq(o.valid & o.ready),
            self.feedback.value.eq(o.payload.value),
        ]

    def _access_spikes(self, m: Module) -> None:
        """Readers and writers of the spike memory, one at a time; what is written passes a register."""
        read, write = self.spike_memory.read, self.spike_memory.write
        _share(m, read, (self.array.spikes, self.gate.spikes, self.gather.spikes))
        item, segments = self.array.o_spikes, self._config.segments
        m.d.sync += [
            write.en.eq(0),
            write.addr.eq(item.payload.line),
            write.data.eq(Signal.cast(item.payload.words).replicate(segments)),
        ]
        with m.If(item.valid & item.ready):
            m.d.sync += write.en.eq(1 << item.payload.segment)
        writers = (
            self.host.line,
            self.gate.write,
            self.gather.write,
            self.token_writer.write,
            self.pool.write,
        )
        for port in writers:
            with m.If(port.en.any()):
                m.d.sync += [write.en.eq(port.en), write.addr.eq(port.addr), write.data.eq(port.data)]


def _weight_memory(config: CoreConfig) -> BlockRam:
    return BlockRam(config.weight_rows, config.lanes * config.weight_bits)


def _share(m: Module, port: Any, readers: tuple[Any, ...]) -> None:
    """One read port for units that take turns."""
    first, *others = readers
    m.d.comb += [reader.data.eq(port.data) for reader in readers]
    m.d.comb += [port.en.eq(first.en), port.addr.eq(first.addr)]
    for reader in others:
        with m.If(reader.en):
            m.d.comb += [port.en.eq(1), port.addr.eq(reader.addr)]
