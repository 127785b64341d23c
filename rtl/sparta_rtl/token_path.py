"""What a core with attention has around its neuron array: cues, scores, selection, attention, pool, feedback."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import connect

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination, Op
from sparta_rtl.attention import AttentionUnit
from sparta_rtl.cues import CueUnit
from sparta_rtl.feedback import FeedbackUnit
from sparta_rtl.gate import GateUnit
from sparta_rtl.gather import GatherUnit
from sparta_rtl.pool import PoolUnit
from sparta_rtl.rank import RankUnit
from sparta_rtl.results import ResultPort
from sparta_rtl.score import ScoreUnit
from sparta_rtl.stream_slice import StreamSlice
from sparta_rtl.token_writer import TokenWriter

__all__ = ["TokenPath", "share"]


class TokenPath:
    """The token units of a :class:`~sparta_rtl.core.Core`, as its submodules, connected to each other and to it.

    Parameters
    ----------
    m : Module
        Of the core.
    core : Core
        With host port, sequencer, neuron array and the LAYER descriptor.
    config : CoreConfig

    Attributes
    ----------
    units : dict of Op to unit
        What the sequencer starts.
    background : tuple of units
        What may go on working when another one starts; each has ``idle``.
    spike_readers, spike_writers : tuples of ports
        Of the spike memory.
    spikes : stream of spike items
        Those of the neuron array, as they go to the spike memory.
    """

    def __init__(self, m: Module, core: Any, config: CoreConfig) -> None:
        self._core, self._config = core, config

        self.cues = CueUnit(config)
        self.score, self.rank = ScoreUnit(config), RankUnit(config)
        self.gate, self.gather = GateUnit(config), GatherUnit(config)
        self.attention, self.token_writer = AttentionUnit(config), TokenWriter(config)
        self.pool, self.result_port = PoolUnit(config), ResultPort(config)
        for name in (
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
            m.submodules[name] = core.abortable(getattr(self, name))
        m.submodules.feedback = self.feedback = FeedbackUnit(config)
        self.units: dict[Op, Any] = {
            Op.SCORE: self.score,
            Op.RANK: self.rank,
            Op.GATE: self.gate,
            Op.GATHER: self.gather,
            Op.ATTEND: self.attention,
            Op.POOL: self.pool,
            Op.FEEDBACK: self.feedback,
        }
        self.background = (self.cues, self.pool, self.result_port)
        self.spike_readers = (self.gate.spikes, self.gather.spikes)
        self.spike_writers = (self.gate.write, self.gather.write, self.token_writer.write, self.pool.write)

        connect(m, core.host.scores, self.score.tables)
        connect(m, core.host.mlp, self.rank.mlp)
        connect(m, self.score.cues, self.cues.cues)
        connect(m, self.rank.gains, self.gate.gains)
        connect(m, self.gate.group, self.rank.group)
        connect(m, self.gather.tokens, self.rank.tokens)
        connect(m, self.attention.masks, self.rank.masks)
        connect(m, self.gate.pool, self.pool.gate)
        self._control(m)
        self._shared_tables(m)
        self._array_results(m)
        self._attention_results(m)

    def _control(self, m: Module) -> None:
        """K, and the feedback state."""
        core, host, rank = self._core, self._core.host, self.rank
        m.d.comb += [
            host.topk_clamped.eq(rank.topk_clamped),
            host.state.eq(self.feedback.state),
            rank.begin.eq(host.start),
            rank.topk_request.eq(host.topk),
            core.array.topk.eq(rank.topk),
            core.array.state.eq(self.feedback.state),
            self.gather.topk.eq(rank.topk),
            self.attention.topk.eq(rank.topk),
            self.gate.selected.eq(rank.selected),
            self.feedback.begin.eq(host.start),
            self.feedback.reset.eq(host.reset_state),
            self.feedback.load.eq(host.load_state),
            self.feedback.load_value.eq(host.state_value),
        ]

    def attended(self, m: Module) -> Signal:
        """The attention unit is done and its last tokens are written."""
        last = Signal()
        done = Signal()
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
                unit.factors.en.eq(self._core.host.factors.en),
                unit.factors.addr.eq(self._core.host.factors.addr),
                unit.factors.data.eq(self._core.host.factors.data),
            ]
        share(m, self.score.records, (self.rank.records, self.gate.records))

    def _array_results(self, m: Module) -> None:
        """Spikes to memory and cue unit; integers to Q, K, V or the result port."""
        config, array, attention, layer = self._config, self._core.array, self.attention, self._core.layer
        spikes, cues = StreamSlice(array.o_spikes.payload.shape()), self.cues
        m.submodules.spike_slice = self._core.abortable(spikes)
        connect(m, array.o_spikes, spikes.i)
        self.spikes = items = spikes.o
        m.d.comb += [
            cues.i.payload.eq(items.payload),
            cues.i.valid.eq(items.valid & layer.cues),
            cues.steps.eq(layer.out_steps),
            cues.cue_base.eq(layer.cue_base),
            cues.outputs.eq(layer.outputs),
            cues.tiles.eq(layer.tiles),
            items.ready.eq(~layer.cues | cues.i.ready),
        ]
        values, results = array.o_values, self.result_port
        to_results = Signal()
        m.d.sync += to_results.eq(layer.destination == Destination.LOGITS)
        m.d.comb += [
            results.i.payload.eq(values.payload),
            results.i.valid.eq(values.valid & to_results),
            results.outputs.eq(layer.outputs),
            values.ready.eq(~to_results | results.i.ready),
        ]
        self.value_row = row = Signal.like(attention.query.addr)
        self.value_data = packed = Signal(config.lanes * config.token_bits)
        next_row = Signal.like(row)
        first = Signal()
        tile = Signal.like(values.payload.tile)
        self.value_valid = written = Signal()
        m.d.sync += [
            written.eq(values.valid & ~to_results),
            packed.eq(Cat(value[: config.token_bits] for value in values.payload.values)),
            first.eq(values.payload.position == 0),
            tile.eq(values.payload.tile),
        ]
        m.d.comb += row.eq(Mux(first, tile, next_row))
        with m.If(written):
            m.d.sync += next_row.eq(row + layer.tiles)
        for destination, port in (
            (Destination.QUERY, attention.query),
            (Destination.KEY, attention.key),
            (Destination.VALUE, attention.value),
        ):
            m.d.comb += [
                port.en.eq(written & (layer.destination == destination)),
                port.addr.eq(row),
                port.data.eq(packed),
            ]

    def _attention_results(self, m: Module) -> None:
        """To the pool, or to the tokens of the next layer; and to the feedback controller's sum."""
        attend, o, writer = self.attention.layer, self.attention.o, self.token_writer
        sums = StreamSlice(self.pool.i.payload.shape())
        to_tokens = Signal()
        m.submodules.attention_slice = self._core.abortable(sums)
        connect(m, sums.o, self.pool.i)
        m.d.sync += to_tokens.eq(attend.to_tokens)
        m.d.comb += [
            sums.i.valid.eq(o.valid & ~to_tokens),
            sums.i.payload.feature.eq(o.payload.feature),
            sums.i.payload.value.eq(o.payload.value << attend.pool_shift),
            Signal.cast(writer.layer).eq(Signal.cast(attend)),
            writer.i.valid.eq(o.valid & to_tokens),
            writer.i.payload.eq(o.payload),
            o.ready.eq(Mux(to_tokens, writer.i.ready, sums.i.ready)),
            self.feedback.valid.eq(o.valid & o.ready),
            self.feedback.value.eq(o.payload.value),
        ]


def share(m: Module, port: Any, readers: tuple[Any, ...]) -> None:
    """One read port for units that take turns."""
    first, *others = readers
    m.d.comb += [reader.data.eq(port.data) for reader in readers]
    m.d.comb += [port.en.eq(first.en), port.addr.eq(first.addr)]
    for reader in others:
        with m.If(reader.en):
            m.d.comb += [port.en.eq(1), port.addr.eq(reader.addr)]
