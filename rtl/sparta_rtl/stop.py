"""Resets of many units by one pulse, each through a register of its own."""

from amaranth.hdl import Cat, Elaboratable, Module, ResetInserter, Signal, Value

__all__ = ["StopChain"]


_DRAIN_CYCLES = 32
"""As many as pass from a unit's first register to its last one, at least: pipelines run empty, they are not reset."""


class StopChain:
    """Resets units one cycle after the other, so that no reset has more loads than its unit; then releases them so.

    They stay in reset together for :data:`_DRAIN_CYCLES`, after a reset of the core too. Equal registers would be
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
        self.holds = Signal(init=1)

    def __call__(self, unit: Elaboratable) -> Elaboratable:
        """The unit with the next reset of the chain."""
        reset = Signal(name=f"stop_{len(self._resets)}", init=1)
        if self._resets:
            self._m.d.sync += reset.eq(self._resets[-1])
        self._resets.append(reset)
        return ResetInserter(reset)(unit)

    def pulse(self, pulse: Value) -> None:
        """What resets the units that are there; the first one from the cycle after it on."""
        m, first, cycles = self._m, self._resets[0], len(self._resets) + _DRAIN_CYCLES
        left = Signal(range(cycles + 1), init=cycles)
        m.d.sync += [
            first.eq(pulse | (left != 0)),
            self.holds.eq(pulse | (left != 0) | Cat(self._resets).any()),
        ]
        with m.If(pulse):
            m.d.sync += left.eq(cycles)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
