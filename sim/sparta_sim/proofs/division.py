"""The serial divider: the quotient is the floor of the division, at the promised cycle."""

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal

from sparta_rtl.divider import SerialDivider, division_cycles
from sparta_sim.proofs.contract import Contract

__all__ = ["DividerContract"]


class DividerContract(Contract):
    """``quotient * denominator <= numerator < (quotient + 1) * denominator``, with ``done`` at its cycle.

    A division may be dropped for another one in any cycle. The invariant: with l bits left, the bits found so far
    times the denominator, plus the remainder, and behind it the numerator's l lowest bits, are the numerator.

    Parameters
    ----------
    numerator_bits, denominator_bits, quotient_bits, bits_per_cycle : int
    divider : type
        What is proven.
    """

    def __init__(
        self,
        numerator_bits: int,
        denominator_bits: int,
        quotient_bits: int,
        bits_per_cycle: int = 1,
        divider: type[SerialDivider] = SerialDivider,
    ) -> None:
        super().__init__()
        self._divider = divider
        self._bits = numerator_bits, denominator_bits, quotient_bits, bits_per_cycle
        self._cycles = division_cycles(quotient_bits, bits_per_cycle) - 1
        self._start = self.free(1, "start")
        self._numerator = self.free(numerator_bits, "numerator")
        self._denominator = self.free(denominator_bits, "denominator")
        self._left = self.spy(range(self._cycles + 1), "divider.left")
        self._divisor = self.spy(denominator_bits, "divider.divisor")
        self._found = self.spy(self._cycles * bits_per_cycle, "divider.found")
        self._remainder = self.spy(denominator_bits, "divider.remainder")

    def elaborate(self, platform: object) -> Module:
        m = self.begin()
        m.submodules.divider = divider = self._divider(*self._bits)
        *_, quotient_bits, bits_per_cycle = self._bits
        cycles = self._cycles
        numerator, denominator = Signal.like(self._numerator), Signal.like(self._denominator)
        running, elapsed = Signal(), Signal(range(cycles + 2))
        m.d.comb += [
            divider.start.eq(self._start),
            divider.numerator.eq(self._numerator),
            divider.denominator.eq(self._denominator),
            Assume(self._numerator < self._denominator << quotient_bits),
            Assert(divider.done == (running & (elapsed == cycles))),
            Assert(self._left == Mux(running, cycles - elapsed, 0)),
            Assert(~running | (elapsed <= cycles)),
            Assert(~running | (numerator < denominator << quotient_bits)),
            Assert(~running | (self._divisor == denominator)),
            Assert(~running | (self._remainder < denominator)),
        ]
        for left in range(cycles + 1):
            so_far = (cycles - left) * bits_per_cycle
            found, coming = self._found[:so_far], self._found[so_far:]
            whole = Cat(coming, found * denominator + self._remainder)
            m.d.comb += Assert(~running | (self._left != left) | (numerator == whole))
        with m.If(running):
            m.d.sync += elapsed.eq(elapsed + 1)
        with m.If(divider.done):
            m.d.sync += running.eq(0)
            low = divider.quotient * denominator
            m.d.comb += [Assert(low <= numerator), Assert(numerator < low + denominator)]
        with m.If(self._start):
            m.d.sync += [
                numerator.eq(self._numerator),
                denominator.eq(self._denominator),
                running.eq(1),
                elapsed.eq(0),
            ]
        return m
