"""The GATE unit: spike counts of each token times its gain (paper eq. 9, STEN's timing-aware attention)."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.gain import GAIN_LATENCY, GainUnit
from sparta_rtl.layouts import descriptor_layout, record_layout
from sparta_rtl.memory import BlockRam, ReadPort, WritePort
from sparta_rtl.pipeline import delay
from sparta_rtl.planes import plane_lines
from sparta_rtl.pool import pool_depth
from sparta_rtl.popcount import popcount

__all__ = ["COUNT_LATENCY", "GateUnit"]

COUNT_LATENCY = 7
"""Cycles from a token's gain to its gated values: address, last line, words, count, product, shift, value."""


class GateUnit(wiring.Component):
    """Turns the spike words of one source into gated integers of all tokens, a line of L channels at a time.

        token[i, d] = min((count[i, d] * gain[i]) >> shift, limit)
        sum[d] = sum_i token[i, d] << pool_shift                                  written to the pool memory

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    start, done : In(1), Out(1)
    layer : In(descriptor_layout(Op.GATE))
    group : Out(ReadPort(max_tokens, bits of a token index))
        Group list: token -> grid token.
    records : Out(ReadPort(max_tokens, record_layout(config).size))
        Records of grid tokens.
    factors : In(WritePort(256, 32))
        Factor tables; the timing table is in bits 7..0 of rows 0 to 127.
    selected : In(max_tokens)
        Bit i: token i is a winner. Stable while the unit works.
    spikes : Out(ReadPort(spike_lines, line * steps))
        Words of position q, channels chunk * L and up: the ``groups`` lines from
        ``in_base + (q * chunks + chunk) * groups``; q is the token's grid token, or its cell with ``pooled``.
    write : Out(WritePort(spike_lines, line * steps, line // lanes))
        Integers of token i: the ``ceil(8 / S)`` lines from ``out_base + (i * out_chunks + chunk) * ceil(8 / S)``.
    gains : In(ReadPort(max_tokens, 8))
        Gain of each token of the last descriptor, u8.6.
    pool : Out(WritePort(pool_depth(config), pool_bits))
        Sets the sum of feature ``feature_base + d``.

    Notes
    -----
    ``cycles = chunks * (N * max(groups, ceil(8 / S)) + ceil(8 / S) + 14 + L) + 3``
    (``sparta_sim/cycles/tokens.py``).
    """

    start: Signal
    done: Signal
    layer: Signal
    group: wiring.PureInterface
    records: wiring.PureInterface
    factors: wiring.PureInterface
    selected: Signal
    spikes: wiring.PureInterface
    write: wiring.PureInterface
    gains: wiring.PureInterface
    pool: wiring.PureInterface

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        self._lines = config.groups(config.token_bits)
        width = config.line * config.steps
        token_bits = unsigned_bits(config.max_tokens - 1)
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "layer": In(descriptor_layout(Op.GATE)),
                "group": Out(ReadPort(config.max_tokens, token_bits)),
                "records": Out(ReadPort(config.max_tokens, record_layout(config).size)),
                "factors": In(WritePort(256, 32)),
                "selected": In(config.max_tokens),
                "spikes": Out(ReadPort(config.spike_lines, width)),
                "write": Out(WritePort(config.spike_lines, width, config.segments)),
                "gains": In(ReadPort(config.max_tokens, config.gain_bits)),
                "pool": Out(WritePort(pool_depth(config), config.pool_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, layer = self._config, self.layer
        tag = data.StructLayout(
            {
                "valid": 1,
                "first_group": 1,
                "last_group": 1,
                "group": len(layer.groups),
                "token": range(config.max_tokens),
            }
        )
        issue = Signal(tag)
        clear = Signal()
        chunk_done = Signal()
        chunk_line = Signal.like(layer.in_base)
        m.submodules.gain = gain = GainUnit(config)
        m.submodules.gain_memory = gain_memory = BlockRam(config.max_tokens, config.gain_bits)
        wiring.connect(m, gain.group, wiring.flipped(self.group))
        wiring.connect(m, gain.records, wiring.flipped(self.records))
        wiring.connect(m, wiring.flipped(self.factors), gain.factors)
        wiring.connect(m, wiring.flipped(self.gains), gain_memory.read)
        read = data.View(tag, delay(m, issue, GAIN_LATENCY))
        m.d.comb += [
            gain.layer.eq(layer),
            gain.selected.eq(self.selected),
            gain.valid.eq(issue.valid),
            gain.token.eq(issue.token),
            gain_memory.write.en.eq(read.valid),
            gain_memory.write.addr.eq(read.token),
            gain_memory.write.data.eq(gain.gain),
        ]
        m.d.sync += [
            self.spikes.en.eq(read.valid),
            self.spikes.addr.eq(chunk_line + gain.offset + read.group),
        ]
        values, valued, sums = self._values(m, read, gain.gain, clear)
        self._write(m, values, valued, chunk_done)
        self._sequence(m, issue, chunk_line, clear, chunk_done, sums)
        return m

    def _values(
        self, m: Module, read: data.View, gain: Signal, clear: Signal
    ) -> tuple[Signal, Signal, list[Signal]]:
        """Gated values of a line, when they are there, and their sums over the tokens."""
        config, layer = self._config, self.layer
        captured, cleared = data.View(read.shape(), delay(m, read, 3)), delay(m, clear, 1)
        gain = delay(m, gain, 4)
        complete = delay(m, captured.valid & captured.last_group, 1)
        multiplied = delay(m, complete, 1)
        scaled = delay(m, multiplied, 1)
        valued = delay(m, scaled, 1)
        words = Signal(data.ArrayLayout(config.steps, config.line), reset_less=True)
        values = Signal(data.ArrayLayout(config.token_bits, config.line), reset_less=True)
        sum_bits = config.token_bits + unsigned_bits(config.max_tokens - 1)
        sums = [Signal(sum_bits, name=f"sum{e}", reset_less=True) for e in range(config.line)]
        m.d.sync += words.eq(self.spikes.data)
        for entry in range(config.line):
            count = Signal(range(config.max_steps + 1), name=f"count{entry}", reset_less=True)
            product = Signal(len(count) + config.gain_bits, name=f"product{entry}", reset_less=True)
            shifted = Signal.like(product, name=f"shifted{entry}")
            with m.If(captured.valid):
                m.d.sync += count.eq(Mux(captured.first_group, 0, count) + popcount(words[entry]))
            m.d.sync += shifted.eq(product >> layer.shift)
            with m.If(complete):
                # Additions: a multiplier for so few bits lies far away.
                m.d.sync += product.eq(
                    sum((Mux(bit, gain << place, 0) for place, bit in enumerate(count)), Const(0, 1))
                )
            with m.If(scaled):
                m.d.sync += values[entry].eq(Mux(shifted > layer.limit, layer.limit, shifted))
            with m.If(cleared):
                m.d.sync += sums[entry].eq(0)
            with m.Elif(valued):
                m.d.sync += sums[entry].eq(sums[entry] + values[entry])
        return values, valued, sums

    def _write(self, m: Module, values: Signal, valued: Signal, chunk_done: Signal) -> None:
        """The lines of a token, one a cycle from ``valued`` on."""
        config, layer = self._config, self.layer
        lines = plane_lines(config, values)
        chunk_line = Signal.like(layer.out_base)
        token_line = Signal.like(layer.out_base)
        plane = Signal(range(self._lines))
        writes = Signal()
        next_chunk = delay(m, chunk_done, 1)
        m.d.comb += [
            writes.eq(valued | (plane != 0)),
        ]
        m.d.sync += [
            self.write.en.eq(writes.replicate(config.segments)),
            self.write.addr.eq(token_line + plane),
            self.write.data.eq(Cat(lines).word_select(plane, config.line * config.steps)),
        ]
        with m.If(self.start):
            m.d.sync += [chunk_line.eq(layer.out_base + self._lines), token_line.eq(layer.out_base)]
        with m.Elif(next_chunk):
            m.d.sync += [chunk_line.eq(chunk_line + self._lines), token_line.eq(chunk_line)]
        with m.Elif(writes):
            m.d.sync += plane.eq(plane + 1)
            with m.If(plane == self._lines - 1):
                m.d.sync += [plane.eq(0), token_line.eq(token_line + layer.out_chunks * self._lines)]

    def _sequence(
        self,
        m: Module,
        issue: Signal,
        chunk_line: Signal,
        clear: Signal,
        chunk_done: Signal,
        sums: list[Signal],
    ) -> None:
        """Per chunk read all tokens, wait for the last writes, move L sums to the pool."""
        config, layer = self._config, self.layer
        flush = GAIN_LATENCY + COUNT_LATENCY + self._lines - 1
        count = Signal(range(max(flush, config.line)))
        chunk = Signal.like(layer.chunks)
        group = Signal.like(layer.groups)
        token = Signal.like(issue.token)
        last_group = Signal.like(group)
        last_slot = Signal.like(group)
        last_token = Signal.like(token)
        m.d.sync += [
            last_group.eq(layer.groups - 1),
            last_slot.eq(Mux(layer.groups > self._lines, layer.groups, self._lines) - 1),
            last_token.eq(layer.tokens - 1),
        ]
        m.d.comb += [
            issue.token.eq(token),
            issue.group.eq(group),
            issue.first_group.eq(group == 0),
            issue.last_group.eq(group == last_group),
        ]

        pooled = Signal.like(sums[0])
        feature = Signal.like(self.pool.addr)
        moves = Signal()
        last_chunk = Signal()
        last_sum = Signal()
        m.d.comb += self.pool.addr.eq(feature)
        m.d.sync += [
            last_chunk.eq(chunk == layer.chunks - 1),
            pooled.eq(Array(sums)[count]),
            moves.eq(0),
            self.pool.data.eq(pooled << layer.pool_shift),
            self.pool.en.eq(moves),
            self.done.eq(delay(m, chunk_done & last_chunk, 2)),
        ]
        with m.If(self.pool.en):
            m.d.sync += feature.eq(feature + 1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += clear.eq(1)
                m.d.sync += [count.eq(0), chunk.eq(0), token.eq(0), group.eq(0)]
                m.d.sync += chunk_line.eq(layer.in_base)
                with m.If(self.start):
                    m.d.sync += feature.eq(layer.feature_base)
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += issue.valid.eq(group <= last_group)
                m.d.sync += group.eq(group + 1)
                with m.If(group == last_slot):
                    m.d.sync += [group.eq(0), token.eq(token + 1)]
                    with m.If(token == last_token):
                        m.next = "FLUSH"
            with m.State("FLUSH"):
                m.d.sync += count.eq(count + 1)
                with m.If(count == flush - 1):
                    m.d.sync += count.eq(0)
                    m.next = "SUMS"
            with m.State("SUMS"):
                m.d.sync += [count.eq(count + 1), moves.eq(1), last_sum.eq(count == config.line - 2)]
                with m.If(last_sum):
                    m.d.comb += [clear.eq(1), chunk_done.eq(1)]
                    m.d.sync += [count.eq(0), chunk.eq(chunk + 1), token.eq(0)]
                    m.d.sync += chunk_line.eq(chunk_line + layer.groups)
                    with m.If(last_chunk):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "READ"
