"""The GATHER unit: copies the selected tokens, in rank order (paper SC)."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.layouts import descriptor_layout
from sparta_rtl.memory import ReadPort, WritePort
from sparta_rtl.pipeline import delay, last_of

__all__ = ["GatherUnit"]

_LATENCY = 6
"""Cycles from a rank to its first line written: token list, register, product, address, line, write."""


class GatherUnit(wiring.Component):
    """``line[out_base + k * lines + n] = line[in_base + token[k] * lines + n]``, k < K, n < lines, one a cycle.

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    start, done : In(1), Out(1)
    layer : In(descriptor_layout(Op.GATHER))
    topk : In(range(max_topk + 1))
        K, at least 1.
    tokens : Out(ReadPort(max_topk, bits of a token index))
        Token list, rank -> token.
    spikes, write : Out(ReadPort), Out(WritePort)
        Spike memory.

    Notes
    -----
    ``cycles = K * lines + 7`` (``sparta_sim/cycles/tokens.py``).
    """

    start: Signal
    done: Signal
    layer: Signal
    topk: Signal
    tokens: wiring.PureInterface
    spikes: wiring.PureInterface
    write: wiring.PureInterface

    def __init__(self, config: CoreConfig) -> None:
        width = config.line * config.steps
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "layer": In(descriptor_layout(Op.GATHER)),
                "topk": In(range(config.max_topk + 1)),
                "tokens": Out(ReadPort(config.max_topk, unsigned_bits(config.max_tokens - 1))),
                "spikes": Out(ReadPort(config.spike_lines, width)),
                "write": Out(WritePort(config.spike_lines, width, config.segments)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer
        active = Signal()
        rank = Signal.like(self.tokens.addr)
        line = Signal.like(layer.lines)
        last = Signal()
        last_line = Signal.like(line)
        last_rank = Signal.like(rank)
        m.d.sync += [last_line.eq(layer.lines - 1), last_rank.eq(self.topk - 1)]
        line_ends = last_of(m, line, last_line, active, last_line == 0)
        rank_ends = last_of(m, rank, last_rank, active & line_ends, 0)
        m.d.comb += [
            last.eq(active & line_ends & rank_ends),
            self.tokens.en.eq(active),
            self.tokens.addr.eq(rank),
        ]
        with m.If(self.start):
            m.d.sync += [active.eq(1), rank.eq(0), line.eq(0)]
            m.d.sync += [line_ends.eq(layer.lines == 1), rank_ends.eq(self.topk == 1)]
        with m.Elif(active):
            m.d.sync += line.eq(line + 1)
            with m.If(line_ends):
                m.d.sync += [line.eq(0), rank.eq(rank + 1), active.eq(~last)]

        # rank -> token list -> token -> first -> source -> line -> write
        first = Signal.like(layer.in_base, reset_less=True)
        source = Signal.like(layer.in_base)
        target = Signal.like(layer.in_base)
        token = Signal.like(self.tokens.data)
        m.d.sync += [
            token.eq(self.tokens.data),
            first.eq(token * layer.lines),
            source.eq(layer.in_base + first + delay(m, line, 3)),
            self.write.data.eq(self.spikes.data),
        ]
        writes = delay(m, active, _LATENCY)
        with m.If(self.start):
            m.d.sync += target.eq(layer.out_base)
        with m.Elif(writes):
            m.d.sync += target.eq(target + 1)
        m.d.comb += [
            self.spikes.en.eq(delay(m, active, 4)),
            self.spikes.addr.eq(source),
            self.write.en.eq(writes.replicate(len(self.write.en))),
            self.write.addr.eq(target),
            self.done.eq(delay(m, last, _LATENCY + 1)),
        ]
        return m
