"""Statistics of the cues that K is chosen by (paper eq. 6): means, a standard deviation, an integer root."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.divider import SerialDivider

__all__ = ["CueStatistics", "SerialRoot", "statistics_cycles"]


class SerialRoot(wiring.Component):
    """``root = floor(sqrt(radicand))``, one bit per cycle.

    Parameters
    ----------
    bits : int
        Width of the root, at least 1.

    Members
    -------
    start : In(1)
        Take the radicand; a root in progress is dropped.
    radicand : In(2 * bits)
    done : Out(1)
        One cycle, ``bits + 1`` cycles after ``start``.
    root : Out(bits)
        Valid from ``done`` to the next ``start``.
    """

    start: Signal
    radicand: Signal
    done: Signal
    root: Signal

    def __init__(self, bits: int) -> None:
        super().__init__({"start": In(1), "radicand": In(2 * bits), "done": Out(1), "root": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = len(self.root)
        digits = Signal.like(self.radicand)
        remainder = Signal(bits + 1)
        shifted = Signal(bits + 3)
        trial = Signal(bits + 2)
        fits = Signal()
        left = Signal(range(bits + 1))
        m.d.comb += [
            shifted.eq(Cat(digits[-2:], remainder)),
            trial.eq(Cat(1, 0, self.root)),
            fits.eq(shifted >= trial),
        ]
        m.d.sync += self.done.eq(~self.start & (left == 1))
        with m.If(self.start):
            m.d.sync += [digits.eq(self.radicand), remainder.eq(0), self.root.eq(0), left.eq(bits)]
        with m.Elif(left != 0):
            m.d.sync += [
                digits.eq(digits << 2),
                remainder.eq(Mux(fits, shifted - trial, shifted)),
                self.root.eq(Cat(fits, self.root)),
                left.eq(left - 1),
            ]
        return m


class CueStatistics(wiring.Component):
    """Means of two cues and the standard deviation of a third over N tokens, one token per cycle.

        mean_rate = (sum rate) // N     mean_interval = (sum interval) // N
        deviation = isqrt(N * sum first^2 - (sum first)^2) // N

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    clear : In(1)
        Forget all tokens; at least two cycles after the last one.
    valid, first, interval, rate : In(1), In(11), In(11), In(11)
        Cues of one token.
    tokens : In(12)
        N, 1 to max_tokens; stable.
    start : In(1)
        At least one cycle after the last token.
    done : Out(1)
        ``statistics_cycles(config)`` after ``start``.
    mean_rate, deviation, mean_interval : Out(11)
        Valid from ``done`` to the next ``start``.
    """

    clear: Signal
    valid: Signal
    first: Signal
    interval: Signal
    rate: Signal
    tokens: Signal
    start: Signal
    done: Signal
    mean_rate: Signal
    deviation: Signal
    mean_interval: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        cue = config.cue_bits
        super().__init__(
            {
                "clear": In(1),
                "valid": In(1),
                "first": In(cue),
                "interval": In(cue),
                "rate": In(cue),
                "tokens": In(12),
                "start": In(1),
                "done": Out(1),
                "mean_rate": Out(cue),
                "deviation": Out(cue),
                "mean_interval": Out(cue),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        cue, bits = config.cue_bits, _sum_bits(config)
        m.submodules.divider = divider = SerialDivider(bits, len(self.tokens), cue)
        m.submodules.root = root = SerialRoot(bits)

        cues = {"first": self.first, "interval": self.interval, "rate": self.rate}
        sums = {name: Signal(bits, name=f"sum_{name}") for name in cues}
        squared = Signal()
        square = Signal(2 * cue, reset_less=True)
        squares = Signal(bits + cue)
        m.d.sync += [squared.eq(self.valid), square.eq(self.first * self.first)]
        with m.If(self.clear):
            m.d.sync += [*(total.eq(0) for total in sums.values()), squares.eq(0)]
        with m.Else():
            with m.If(self.valid):
                m.d.sync += [sums[name].eq(sums[name] + value) for name, value in cues.items()]
            with m.If(squared):
                m.d.sync += squares.eq(squares + square)

        # N * squares - sum_first^2, one bit of both multipliers per cycle, the highest first; then the root.
        left = Signal(range(bits + 1))
        multiplied = Signal()
        started = Signal()
        addend = Signal(signed(len(squares) + 1))
        both = Signal(signed(len(squares) + 1))
        factors = [Signal(bits, name="factor_tokens"), Signal(bits, name="factor_first")]
        spread = Signal(signed(2 * bits + 1))
        m.d.comb += addend.eq(
            Mux(
                factors[0][-1],
                Mux(factors[1][-1], both, squares),
                Mux(factors[1][-1], -sums["first"], 0),
            )
        )
        m.d.sync += [multiplied.eq(left == 1), started.eq(self.start), both.eq(squares - sums["first"])]
        with m.If(started):
            m.d.sync += [
                left.eq(bits),
                spread.eq(0),
                factors[0].eq(self.tokens),
                factors[1].eq(sums["first"]),
            ]
        with m.Elif(left != 0):
            m.d.sync += [
                left.eq(left - 1),
                *(factor.eq(factor << 1) for factor in factors),
                spread.eq((spread << 1) + addend),
            ]
        m.d.comb += [root.start.eq(multiplied), root.radicand.eq(spread)]

        # Three divisions by N: two while the root is on its way.
        division = Signal(range(3))
        m.d.comb += [
            divider.start.eq(self.start | (divider.done & (division == 0)) | root.done),
            divider.numerator.eq(Mux(self.start, sums["rate"], Mux(root.done, root.root, sums["interval"]))),
            divider.denominator.eq(self.tokens),
        ]
        m.d.sync += self.done.eq(divider.done & (division == 2))
        with m.If(self.start):
            m.d.sync += division.eq(0)
        with m.Elif(divider.done):
            m.d.sync += division.eq(division + 1)
            for number, mean in enumerate((self.mean_rate, self.mean_interval, self.deviation)):
                with m.If(division == number):
                    m.d.sync += mean.eq(divider.quotient)
        return m


def _sum_bits(config: CoreConfig) -> int:
    """Width of the sum of a cue over all tokens."""
    return unsigned_bits(config.max_tokens * ((1 << config.cue_bits) - 1))


def statistics_cycles(config: CoreConfig) -> int:
    """Clock cycles from ``start`` to ``done`` of :class:`CueStatistics`."""
    return 2 * _sum_bits(config) + config.cue_bits + 5
