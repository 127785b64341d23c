"""Unsigned division, one quotient bit per cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SerialDivider"]


class SerialDivider(wiring.Component):
    """``quotient = floor(numerator / denominator)`` by restoring division.

    Only as many bits are computed as the quotient can have: the caller knows that
    ``numerator < denominator << quotient_bits``. Otherwise, and for a zero denominator, the result has no
    meaning.

    Parameters
    ----------
    numerator_bits, denominator_bits, quotient_bits : int
        Widths, at least 1.

    Members
    -------
    start : In(1)
        Take the operands; a division in progress is dropped.
    numerator : In(numerator_bits)
    denominator : In(denominator_bits)
    done : Out(1)
        One cycle, ``quotient_bits + 1`` cycles after ``start``; the next start is possible in it.
    quotient : Out(quotient_bits)
        Valid from ``done`` to the next ``start``.
    """

    start: Signal
    numerator: Signal
    denominator: Signal
    done: Signal
    quotient: Signal

    def __init__(self, numerator_bits: int, denominator_bits: int, quotient_bits: int) -> None:
        super().__init__(
            {
                "start": In(1),
                "numerator": In(numerator_bits),
                "denominator": In(denominator_bits),
                "done": Out(1),
                "quotient": Out(quotient_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = len(self.quotient)
        divisor = Signal.like(self.denominator)
        remainder = Signal.like(self.denominator)
        left = Signal(range(bits + 1))
        shifted = Signal(len(remainder) + 1)
        reduced = Signal(signed(len(remainder) + 2))
        fits = reduced >= 0
        m.d.comb += [
            shifted.eq(Cat(self.quotient[-1], remainder)),
            reduced.eq(shifted - divisor),
        ]
        m.d.sync += self.done.eq(~self.start & (left == 1))
        with m.If(self.start):
            m.d.sync += [
                divisor.eq(self.denominator),
                remainder.eq(self.numerator >> bits),
                self.quotient.eq(self.numerator),
                left.eq(bits),
            ]
        with m.Elif(left != 0):
            m.d.sync += [
                remainder.eq(Mux(fits, reduced, shifted)),
                self.quotient.eq(Cat(fits, self.quotient)),
                left.eq(left - 1),
            ]
        return m
