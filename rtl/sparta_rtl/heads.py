"""The walk over the heads of one attention: which chunks of P features each of them has."""

from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data

__all__ = ["Head", "walk_heads"]


class Head(NamedTuple):
    """First chunk of the head at hand, its last one counted from that, the first of the next head; it is the last."""

    base: Signal
    last_chunk: Signal
    following: Value
    last: Value


def walk_heads(m: Module, layer: data.View, start: Signal, step: Signal) -> Head:
    """Go to the first head with ``start``, to the next one with ``step``.

    Heads have ``layer.chunks`` chunks; the last one, which may be made of padding only, has what is left of
    ``layer.pitch``.
    """
    base, last_chunk = Signal(len(layer.pitch) + 1), Signal.like(layer.chunks)
    following, left = base + layer.chunks, Signal(len(layer.pitch) + 2)
    m.d.comb += left.eq(layer.pitch - following)
    with m.If(step):
        m.d.sync += [base.eq(following), last_chunk.eq(Mux(left < layer.chunks, left, layer.chunks) - 1)]
    with m.If(start):
        m.d.sync += [base.eq(0), last_chunk.eq(layer.chunks - 1)]
    return Head(base, last_chunk, following, following >= layer.pitch)
