"""Unsigned division, a few quotient bits a cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SerialDivider", "division_cycles"]


def division_cycles(quotient_bits: int, bits_per_cycle: int) -> int:
    """Cycles from ``start`` to ``done`` of a :class:`SerialDivider`."""
    return -(-quotient_bits // bits_per_cycle) + 1


class SerialDivider(wiring.Component):
    """``quotient = floor(numerator / denominator)`` by restoring division.

    Only as many bits are computed as the quotient can have: the caller knows that
    ``numerator < denominator << quotient_bits``. Otherwise, and for a zero denominator, the result has no
    meaning.

    Parameters
    ----------
    numerator_bits, denominator_bits, quotient_bits : int
        Widths, at least 1.
    bits_per_cycle : int
        Subtractions one behind the other in a cycle.

    Members
    -------
    start : In(1)
        Take the operands; a division in progress is dropped.
    numerator : In(numerator_bits)
    denominator : In(denominator_bits)
    done : Out(1)
        One cycle, :func:`division_cycles` after ``start``; the next start is possible in it.
    quotient : Out(quotient_bits)
        Valid from ``done`` to the next ``start``.
    """

    start: Signal
    numerator: Signal
    denominator: Signal
    done: Signal
    quotient: Signal

    def __init__(
        self, numerator_bits: int, denominator_bits: int, quotient_bits: int, bits_per_cycle: int = 1
    ) -> None:
        self._bits_per_cycle = bits_per_cycle
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
        cycles = division_cycles(len(self.quotient), self._bits_per_cycle) - 1
        bits = cycles * self._bits_per_cycle
        divisor = Signal.like(self.denominator)
        remainder = Signal.like(self.denominator)
        found = Signal(bits)  # bits of the quotient so far, and above them those of the numerator to come
        left = Signal(range(cycles + 1))
        m.d.comb += self.quotient.eq(found)
        m.d.sync += self.done.eq(~self.start & (left == 1))
        rest: Value = remainder
        coming: Value = found
        for n in range(self._bits_per_cycle):
            rest, coming = self._bit(m, n, rest, coming, divisor)
        with m.If(self.start):
            m.d.sync += [
                divisor.eq(self.denominator),
                remainder.eq(self.numerator >> bits),
                found.eq(self.numerator),
                left.eq(cycles),
            ]
        with m.Elif(left != 0):
            m.d.sync += [remainder.eq(rest), found.eq(coming), left.eq(left - 1)]
        return m

    def _bit(self, m: Module, n: int, rest: Value, coming: Value, divisor: Value) -> tuple[Value, Value]:
        """One subtraction: what remains, and ``coming`` without its highest bit, behind it one of the quotient."""
        shifted = Signal(len(divisor) + 1, name=f"shifted{n}")
        reduced = Signal(signed(len(divisor) + 2), name=f"reduced{n}")
        fits = reduced >= 0
        m.d.comb += [shifted.eq(Cat(coming[-1], rest)), reduced.eq(shifted - divisor)]
        return Mux(fits, reduced, shifted)[: len(divisor)], Cat(fits, coming[:-1])
