"""Resets of many units by one pulse, each through a register of its own."""

from amaranth.hdl import Cat, Elaboratable, Module, ResetInserter, Signal, Value

__all__ = ["StopChain"]


class StopChain:
    """Resets units one cycle after the other, so that no reset has more loads than its unit; then releases them so.

    Each stays in reset for as many cycles as there are units: in one cycle all of them are. Equal registers would be
    merged by the tools; these differ in time.

    Parameters
    ----------
    m : Module
        That has the units.

    Attributes
    ----------
    holds : Signal
        From the cycle after the pulse until all units are released: nothing may be given to any of them.
    """

    def __init__(self, m: Module) -> None:
        self._m = m
        self._resets: list[Signal] = []
        self.holds = Signal()

    def __call__(self, unit: Elaboratable) -> Elaboratable:
        """The unit with the next reset of the chain."""
        reset = Signal(name=f"stop_{len(self._resets)}")
        if self._resets:
            self._m.d.sync += reset.eq(self._resets[-1])
        self._resets.append(reset)
        return ResetInserter(reset)(unit)

    def pulse(self, pulse: Value) -> None:
        """What resets the units that are there; the first one from the cycle after it on."""
        m, first = self._m, self._resets[0]
        left = Signal(range(len(self._resets) + 1))
        m.d.sync += [
            first.eq(pulse | (left != 0)),
            self.holds.eq(pulse | (left != 0) | Cat(self._resets).any()),
        ]
        with m.If(pulse):
            m.d.sync += left.eq(len(self._resets))
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
