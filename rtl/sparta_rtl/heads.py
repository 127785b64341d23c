"""The walk over the heads of one attention: which chunks of P features each of them has."""

from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data

__all__ = ["Head", "walk_heads"]


class Head(NamedTuple):
    """First chunk of the head at hand, its last one counted from that; the first chunk of the next head, which has one
    chunk only; the head at hand is the last."""

    base: Signal
    last_chunk: Signal
    following: Signal
    next_single: Value
    last: Signal


def walk_heads(m: Module, layer: data.View, start: Signal, step: Signal) -> Head:
    """Go to the first head with ``start``, to the next one with ``step``.

    ``last_chunk`` steps at once, the rest one cycle later; there is a cycle at least between two steps. Heads have
    ``layer.chunks`` chunks; the last one, which may be made of padding only, has what is left of ``layer.pitch``.
    """
    chunks, bits = layer.chunks, len(layer.pitch) + 2
    base = Signal(bits - 1)
    following = Signal(bits - 1)
    last_chunk = Signal.like(chunks)
    next_last = Signal.like(chunks)
    # Chunks after the head at hand, and after the next one.
    left = Signal(signed(bits))
    after = Signal(signed(bits))
    last = Signal()
    steps = Signal()
    m.d.sync += steps.eq(step)
    with m.If(step):
        m.d.sync += last_chunk.eq(next_last)
    with m.If(steps):
        m.d.sync += [
            base.eq(following),
            following.eq(following + chunks),
            left.eq(after),
            after.eq(after - chunks),
            last.eq(left <= chunks),
            next_last.eq(Mux(after < chunks, after - 1, chunks - 1)),
        ]
    with m.If(start):
        m.d.sync += [
            base.eq(0),
            following.eq(chunks),
            left.eq(layer.pitch - chunks),
            after.eq(layer.pitch - (chunks << 1)),
            last.eq(layer.pitch <= chunks),
            last_chunk.eq(chunks - 1),
            next_last.eq(Mux(layer.pitch < chunks << 1, layer.pitch - chunks - 1, chunks - 1)),
        ]
    return Head(base, last_chunk, following, next_last == 0, last)
