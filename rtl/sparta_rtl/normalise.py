"""Division of weighted sums by their total weight, with a table of reciprocals."""

from amaranth.hdl import Array, Module, Signal, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import RECIPROCAL_TABLE
from sparta_rtl.pipeline import delay, saturate
from sparta_rtl.softmax import mixed_layout

__all__ = ["Normaliser"]

_LOW_BITS = 17
"""Bits of a sum's unsigned low part: with a 9-bit reciprocal, both parts fit a multiplier of 18 x 18."""


class Normaliser(wiring.Component):
    """Weighted sums over total weight, one lane a cycle::

        e = floor(log2 S),  mant = (S << 7) >> e,  r = RECIPROCAL[mant - 128]
        o[lane] = sat_s8((sums[lane] * r) >> (e + 8))

    S is at least 2^12: the largest similarity of a row has weight EXP[0]. A chunk takes P cycles; the first
    result is valid 8 cycles after its chunk. Nothing here waits: whoever sends chunks leaves P cycles between
    them, and room for their results.

    Members
    -------
    i : In(stream.Signature(mixed_layout(config), always_ready=True))
        Chunks, at least P cycles apart.
    o : Out(stream.Signature(signed(8), always_ready=True))
        Their lanes in order, lane 0 first.
    """

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(mixed_layout(config), always_ready=True)),
                "o": Out(stream.Signature(signed(config.weight_bits), always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        occupied = Signal()
        lane = Signal(range(config.lanes))
        held = Signal.like(self.i.payload, reset_less=True)
        m.d.sync += held.sums.as_value().eq(held.sums.as_value() >> len(held.sums[0]))
        with m.If(occupied):
            m.d.sync += lane.eq(lane + 1)
        with m.If(lane == config.lanes - 1):
            m.d.sync += occupied.eq(0)
        with m.If(self.i.valid):
            m.d.sync += [occupied.eq(1), held.eq(self.i.payload)]

        least = config.exp_bits
        exponents = range(least, len(held.total))
        exponent = Signal(range(len(exponents)), reset_less=True)
        total = Signal.like(held.total, reset_less=True)
        mantissa = Signal(config.reciprocal_bits, reset_less=True)
        reciprocal = Signal(RECIPROCAL_TABLE[0].bit_length(), reset_less=True)
        # The table in two steps: an entry of each eighth, then one of these.
        entries = [Signal.like(reciprocal, name=f"entry{part}", reset_less=True) for part in range(8)]
        part_bits = config.reciprocal_bits - 3
        for candidate in exponents:
            with m.If(held.total[candidate]):
                m.d.sync += exponent.eq(candidate - least)
        divided = delay(m, held.sums[0], 4)
        high = Signal(signed(max(len(divided) - _LOW_BITS, 1) + len(reciprocal)), reset_less=True)
        low = Signal(unsigned(_LOW_BITS + len(reciprocal)), reset_less=True)
        product = Signal(signed(len(divided) + len(reciprocal) - least - 8), reset_less=True)
        quotient = Signal.like(product)
        m.d.comb += quotient.eq(product >> delay(m, exponent, 5))
        m.d.sync += [
            total.eq(held.total),
            mantissa.eq((total >> least - config.reciprocal_bits) >> exponent),
            *(
                entry.eq(
                    Array(RECIPROCAL_TABLE[part << part_bits : part + 1 << part_bits])[mantissa[:part_bits]]
                )
                for part, entry in enumerate(entries)
            ),
            reciprocal.eq(Array(entries)[delay(m, mantissa[part_bits:], 1)]),
            high.eq((divided >> _LOW_BITS) * reciprocal),
            low.eq(divided[:_LOW_BITS] * reciprocal),
            product.eq(high + (low >> _LOW_BITS) >> least + 8 - _LOW_BITS),
            self.o.payload.eq(saturate(quotient, config.weight_bits)),
            self.o.valid.eq(delay(m, occupied, 6)),
        ]
        return m
