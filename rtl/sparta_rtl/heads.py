"""The walk over the heads of one attention: which chunks of P features each of them has."""

from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data

__all__ = ["Head", "walk_heads"]


class Head(NamedTuple):
    """First chunk of the head at hand, its last one counted from that, the first of the next head, which has one chunk
    only; the head at hand is the last."""

    base: Signal
    last_chunk: Signal
    following: Signal
    next_single: Value
    last: Signal


def walk_heads(m: Module, layer: data.View, start: Signal, step: Signal) -> Head:
    """Go to the first head with ``start``, to the next one with ``step``.

    Heads have ``layer.chunks`` chunks; the last one, which may be made of padding only, has what is left of
    ``layer.pitch``: ``left`` are the chunks after the head at hand.
    """
    base, following = Signal(len(layer.pitch) + 1), Signal(len(layer.pitch) + 1)
    last_chunk, last, left = Signal.like(layer.chunks), Signal(), Signal(signed(len(layer.pitch) + 2))
    with m.If(step):
        m.d.sync += [
            base.eq(following),
            following.eq(following + layer.chunks),
            left.eq(left - layer.chunks),
            last.eq(left <= layer.chunks),
            last_chunk.eq(Mux(left < layer.chunks, left - 1, layer.chunks - 1)),
        ]
    with m.If(start):
        m.d.sync += [
            base.eq(0),
            following.eq(layer.chunks),
            left.eq(layer.pitch - layer.chunks),
            last.eq(layer.pitch <= layer.chunks),
            last_chunk.eq(layer.chunks - 1),
        ]
    return Head(base, last_chunk, following, (left == 1) | (layer.chunks == 1), last)
