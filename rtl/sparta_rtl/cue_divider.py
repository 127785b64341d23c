"""From the cue sums of a position to its cues."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.divider import SerialDivider, division_cycles
from sparta_rtl.layouts import cue_layout, cue_sums_layout

__all__ = ["CueDivider", "cue_division_cycles"]

_BITS_PER_CYCLE = 2
"""So that a division, of 9 bits at most, takes no longer than two groups with sums are apart, 6 cycles."""


def cue_division_cycles(config: CoreConfig) -> int:
    """Cycles from ``start`` to ``done`` of a :class:`CueDivider`."""
    return division_cycles(unsigned_bits(config.silent_cue), _BITS_PER_CYCLE)


class CueDivider(wiring.Component):
    """Four divisions side by side.

        first = (F << 3) // C    interval = (A << 3) // G, or T << 3 when G = 0
        burst = (U << 3) // C    rate = (R << 3) // C

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    start, sums : In(1), In(cue_sums_layout(config))
        Take the sums; at the earliest with ``done`` of those before.
    channels, steps : In(range(max_features + 1)), In(6)
        C and T, stable from ``start`` to ``done``.
    done, cues : Out(1), Out(cue_layout(config))
        :func:`cue_division_cycles` after ``start``; valid to the next one.
    """

    start: Signal
    sums: data.View
    channels: Signal
    steps: Signal
    done: Signal
    cues: data.View

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "sums": In(cue_sums_layout(config)),
                "channels": In(range(config.max_features + 1)),
                "steps": In(6),
                "done": Out(1),
                "cues": Out(cue_layout(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, sums = self._config, self.sums
        no_gaps = Signal()
        with m.If(self.start):
            m.d.sync += no_gaps.eq(sums.gaps == 0)
        operands = {
            "first": (sums.first, self.channels),
            "interval": (sums.span, sums.gaps),
            "burst": (sums.burst, self.channels),
            "rate": (sums.rate, self.channels),
        }
        for cue, (total, count) in operands.items():
            divider = SerialDivider(
                len(total) + config.cue_frac, len(count), len(self.cues[cue]), _BITS_PER_CYCLE
            )
            m.submodules[cue] = divider
            m.d.comb += [
                divider.start.eq(self.start),
                divider.numerator.eq(total << config.cue_frac),
                divider.denominator.eq(count),
                self.done.eq(divider.done),
                self.cues[cue].eq(divider.quotient),
            ]
        with m.If(no_gaps):
            m.d.comb += self.cues.interval.eq(self.steps << config.cue_frac)
        return m
