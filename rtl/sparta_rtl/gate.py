"""The GATE unit: spike counts of each token, amplified if it was selected and damped if not (paper eq. 9)."""

from itertools import pairwise

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.layouts import descriptor_layout
from sparta_rtl.memory import ReadPort, WritePort
from sparta_rtl.planes import plane_lines
from sparta_rtl.pool import pool_depth
from sparta_rtl.popcount import popcount

__all__ = ["GateUnit"]


class GateUnit(wiring.Component):
    """Turns the spike words of all tokens into gated integers, a line of L channels at a time.

        token[i, d] = sat_u8((count[i, d] * (alpha if i selected else beta)) >> shift)
        sum[d] = sum_i token[i, d] << pool_shift                                  written to the pool memory

    A count is at most ``max_steps``, so both products are tabulated first, by adding the gain, and each entry
    of a line is one look-up: no multiplier, whatever L.

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    start, done : In(1), Out(1)
    layer : In(descriptor_layout(Op.GATE))
    spikes : Out(ReadPort(spike_lines, line * steps))
        Words of token i, channels chunk * L and up: the ``groups`` lines from
        ``in_base + (i * chunks + chunk) * groups``.
    write : Out(WritePort(spike_lines, line * steps, line // lanes))
        Integers of the same channels: the ``ceil(8 / S)`` lines from
        ``out_base + (i * chunks + chunk) * ceil(8 / S)``.
    selected : In(max_tokens)
        Bit i: token i is selected. Stable while the unit works.
    pool : Out(WritePort(pool_depth(config), pool_bits))
        Sets the sum of feature d.

    Notes
    -----
    ``cycles = max_steps + 3 + chunks * (N * max(groups, ceil(8 / S)) + ceil(8 / S) + 3 + L)``
    (``sparta_sim/cycles/select.py``).
    """

    start: Signal
    done: Signal
    layer: Signal
    spikes: wiring.PureInterface
    write: wiring.PureInterface
    selected: Signal
    pool: wiring.PureInterface

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        self._lines = config.groups(config.token_bits)
        width = config.line * config.steps
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "layer": In(descriptor_layout(Op.GATE)),
                "spikes": Out(ReadPort(config.spike_lines, width)),
                "write": Out(WritePort(config.spike_lines, width, config.segments)),
                "selected": In(config.max_tokens),
                "pool": Out(WritePort(pool_depth(config), config.pool_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, layer = self._config, self.layer

        # A line: issue (read) -> arrived -> captured (count) -> counted (look up) -> valued (write, sum).
        tag = data.StructLayout(
            {
                "valid": 1,
                "first_group": 1,
                "last_group": 1,
                "token": range(config.max_tokens),
            }
        )
        issue, arrived, captured = Signal(tag), Signal(tag), Signal(tag)
        counted, valued, is_selected = Signal(), Signal(), Signal()
        m.d.sync += [
            arrived.eq(issue),
            captured.eq(arrived),
            counted.eq(captured.valid & captured.last_group),
            is_selected.eq(self.selected.bit_select(captured.token, 1)),
            valued.eq(counted),
        ]

        fill, clear, chunk_done = Signal(), Signal(), Signal()
        tables = [self._table(m, fill, gain) for gain in (layer.gain_other, layer.gain_selected)]
        words = Signal(data.ArrayLayout(config.steps, config.line))
        values = Signal(data.ArrayLayout(config.token_bits, config.line))
        sums = [
            Signal(config.token_bits + unsigned_bits(config.max_tokens - 1), name=f"sum{e}")
            for e in range(config.line)
        ]
        m.d.sync += words.eq(self.spikes.data)
        table = [Mux(is_selected, selected, other) for other, selected in zip(*tables, strict=True)]
        for entry in range(config.line):
            count = Signal(range(config.max_steps + 1), name=f"count{entry}")
            with m.If(captured.valid):
                m.d.sync += count.eq(Mux(captured.first_group, 0, count) + popcount(words[entry]))
            with m.If(counted):
                m.d.sync += values[entry].eq(Array([0, *table])[count])
            with m.If(clear):
                m.d.sync += sums[entry].eq(0)
            with m.Elif(valued):
                m.d.sync += sums[entry].eq(sums[entry] + values[entry])

        self._write(m, values, valued, chunk_done)
        self._sequence(m, issue, fill, clear, chunk_done, sums)
        return m

    def _table(self, m: Module, fill: Signal, gain: Signal) -> list[Signal]:
        """``sat_u8((n * gain) >> shift)``, n = 1 to max_steps, after max_steps + 1 cycles of ``fill``."""
        config = self._config
        top = (1 << config.token_bits) - 1
        product = Signal(unsigned_bits(config.max_steps * ((1 << config.gain_bits) - 1)))
        shifted = Signal.like(product)
        entries = [Signal(config.token_bits) for _ in range(config.max_steps)]
        m.d.comb += shifted.eq(product >> self.layer.shift)
        with m.If(fill):
            m.d.sync += [product.eq(product + gain), entries[-1].eq(Mux(shifted > top, top, shifted))]
            m.d.sync += [entry.eq(following) for entry, following in pairwise(entries)]
        with m.Else():
            m.d.sync += product.eq(0)
        return entries

    def _write(self, m: Module, values: Signal, valued: Signal, chunk_done: Signal) -> None:
        """The lines of a token, one a cycle from ``valued`` on."""
        config, layer = self._config, self.layer
        lines = plane_lines(config, values)
        chunk_line, token_line = Signal.like(layer.out_base), Signal.like(layer.out_base)
        plane = Signal(range(self._lines))
        m.d.comb += [
            self.write.addr.eq(token_line + plane),
            self.write.data.eq(Cat(lines).word_select(plane, config.line * config.steps)),
        ]
        with m.If(self.start):
            m.d.sync += [chunk_line.eq(layer.out_base + self._lines), token_line.eq(layer.out_base)]
        with m.Elif(chunk_done):
            m.d.sync += [chunk_line.eq(chunk_line + self._lines), token_line.eq(chunk_line)]
        with m.Elif(valued | (plane != 0)):
            m.d.comb += self.write.en.eq(~0)
            m.d.sync += plane.eq(plane + 1)
            with m.If(plane == self._lines - 1):
                m.d.sync += [plane.eq(0), token_line.eq(token_line + layer.chunks * self._lines)]

    def _sequence(
        self, m: Module, issue: Signal, fill: Signal, clear: Signal, chunk_done: Signal, sums: list[Signal]
    ) -> None:
        """Fill the tables; per chunk read all tokens, wait for the last writes, move L sums to the pool."""
        config, layer = self._config, self.layer
        flush = self._lines + 3
        count = Signal(range(max(config.max_steps + 1, flush, config.line)))
        chunk, group, token = Signal.like(layer.chunks), Signal.like(layer.groups), Signal.like(issue.token)
        chunk_line, token_line = Signal.like(layer.in_base), Signal.like(layer.in_base)
        pitch, period = Signal(len(layer.chunks) + len(layer.groups)), Signal.like(layer.groups)
        m.d.sync += [
            pitch.eq(layer.chunks * layer.groups),
            period.eq(Mux(layer.groups > self._lines, layer.groups, self._lines)),
        ]
        m.d.comb += [
            issue.token.eq(token),
            issue.first_group.eq(group == 0),
            issue.last_group.eq(group == layer.groups - 1),
            self.spikes.en.eq(issue.valid),
            self.spikes.addr.eq(token_line + group),
        ]

        pooled, feature = Signal.like(sums[0]), Signal.like(self.pool.addr)
        last_chunk, last_sum = Signal(), Signal()
        m.d.comb += [
            last_chunk.eq(chunk == layer.chunks - 1),
            self.pool.addr.eq(feature),
            self.pool.data.eq(pooled << layer.pool_shift),
        ]
        m.d.sync += [
            pooled.eq(Array(sums)[count]),
            self.pool.en.eq(0),
            last_sum.eq(chunk_done & last_chunk),
            self.done.eq(last_sum),
        ]
        with m.If(self.pool.en):
            m.d.sync += feature.eq(feature + 1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += clear.eq(1)
                m.d.sync += [count.eq(0), chunk.eq(0), token.eq(0), group.eq(0)]
                m.d.sync += [chunk_line.eq(layer.in_base + layer.groups), token_line.eq(layer.in_base)]
                with m.If(self.start):
                    m.d.sync += feature.eq(0)
                    m.next = "FILL"
            with m.State("FILL"):
                m.d.comb += fill.eq(1)
                m.d.sync += count.eq(count + 1)
                with m.If(count == config.max_steps):
                    m.d.sync += count.eq(0)
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += issue.valid.eq(group < layer.groups)
                m.d.sync += group.eq(group + 1)
                with m.If(group == period - 1):
                    m.d.sync += [group.eq(0), token.eq(token + 1), token_line.eq(token_line + pitch)]
                    with m.If(token == layer.tokens - 1):
                        m.next = "FLUSH"
            with m.State("FLUSH"):
                m.d.sync += count.eq(count + 1)
                with m.If(count == flush - 1):
                    m.d.sync += count.eq(0)
                    m.next = "SUMS"
            with m.State("SUMS"):
                m.d.sync += [count.eq(count + 1), self.pool.en.eq(1)]
                with m.If(count == config.line - 1):
                    m.d.comb += [clear.eq(1), chunk_done.eq(1)]
                    m.d.sync += [count.eq(0), chunk.eq(chunk + 1), token.eq(0)]
                    m.d.sync += [chunk_line.eq(chunk_line + layer.groups), token_line.eq(chunk_line)]
                    with m.If(last_chunk):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "READ"
