"""HI-LIF: the lane of the fire stage computes Algorithm 1, by induction."""

from dataclasses import dataclass

from amaranth.hdl import Assert, Assume, Module, Mux, Signal, Value, signed

from sparta_hw.config import CoreConfig
from sparta_rtl.hilif import FireLane
from sparta_rtl.pipeline import delay
from sparta_sim.proofs.contract import Contract

__all__ = ["FireLaneContract"]

_UPDATE = 8
"""Cycles from a sum's read to the new membrane."""


@dataclass(frozen=True, kw_only=True)
class _Narrow(CoreConfig):
    """A core of small numbers: multiplications of few bits are what a solver can decide."""

    membrane_bits = 4
    bias_bits = 4
    tau_bits = 3
    token_bits = 4


@dataclass(frozen=True)
class _Came:
    """What came some cycles ago: a step or none, whether it begins a neuron, its sum."""

    step: Value
    fresh: Value
    total: Value

    def later(self, m: Module) -> "_Came":
        """The same, one cycle later."""
        return _Came(*(delay(m, value, 1) for value in (self.step, self.fresh, self.total)))


class FireLaneContract(Contract):
    """Spikes of the lane are those of Algorithm 1 in numbers of any width, which never leave the membrane's.

    Steps come in any cycles. Any of them may begin a neuron; another one goes on with the neuron of two cycles before,
    or, if none came in the two cycles before, with the last one. The invariant: each register of the lane has what the
    step that it works at asks for, and the membrane is the latest one, but where a neuron has just begun.

    Parameters
    ----------
    lane : type
        What is proven.
    """

    def __init__(self, lane: type[FireLane] = FireLane) -> None:
        super().__init__()
        self._config, self._lane = _Narrow(name="narrow", acc_bits=9, sum_bits=16), lane
        config, bits = self._config, self._config.membrane_bits
        self._low, self._high = -(1 << bits - 1), (1 << bits - 1) - 1
        self._input = _Came(self.free(1, "step"), self.free(1, "fresh"), self.free(signed(5), "sum"))
        self._bias = self.constant(signed(config.bias_bits), "bias")
        self._threshold = self.constant(signed(bits), "threshold")
        self._leak = self.constant(config.tau_bits, "leak")
        self._reset = self.constant(signed(bits), "v_reset")
        self._soft, self._shift = self.constant(1, "soft"), self.constant(2, "shift")
        product = bits + config.tau_bits + 1
        shapes = {
            "term": signed(config.acc_bits),
            "total": signed(config.sum_bits),
            "biased": signed(config.sum_bits + 1),
            "shifted": signed(config.sum_bits + 1),
            "result": signed(config.sum_bits),
            "current": signed(bits),
            "charged": signed(product),
            "leaked": signed(product),
            "fraction": config.tau_bits,
            "filled": signed(bits + 2),
            "above": signed(bits + 3),
            "membrane": signed(bits),
        }
        self._held = {name: self.spy(shape, f"lane.{name}") for name, shape in shapes.items()}

    def elaborate(self, platform: object) -> Module:
        m = self.begin()
        m.submodules.lane = lane = self._lane(self._config)
        came = [self._input]
        for _ in range(_UPDATE + 1):
            came.append(came[-1].later(m))
        started = Signal()
        m.d.sync += started.eq(started | self._input.step)
        in_turn = [
            ~now.step | now.fresh | (started & (before.step | ~between.step))
            for now, between, before in zip(came, came[1:], came[2:], strict=False)
        ]
        m.d.comb += [
            Assume(in_turn[0]),
            *map(Assert, in_turn[1:]),
            Assume((self._threshold >= 1) & (self._leak >= 1)),
        ]
        m.d.comb += [
            lane.sum.eq(self._input.total),
            lane.current.eq(lane.result),
            lane.header.bias.eq(self._bias),
            lane.header.threshold.eq(self._threshold),
            lane.header.leak.eq(self._leak),
            lane.mode.soft.eq(self._soft),
            lane.mode.shift.eq(self._shift),
            lane.mode.v_reset.eq(self._reset),
            lane.strobes.read.eq(self._input.step),
            lane.strobes.total.eq(came[1].step),
            lane.strobes.fresh.eq(came[_UPDATE - 2].step & came[_UPDATE - 2].fresh),
            lane.strobes.update.eq(came[_UPDATE].step),
        ]
        latest, before = self._algorithm(m, came, lane.spike)
        self._registers(m, came, latest, before)
        return m

    def _algorithm(self, m: Module, came: list[_Came], spike: Value) -> tuple[Value, Value]:
        """The latest membrane, and that before the step which is updated: Algorithm 1, whose spikes the lane has."""
        now, last = came[_UPDATE], came[_UPDATE + 1]
        latest, earlier, before, after = (
            Signal(signed(12), name=name) for name in ("latest", "earlier", "before", "after")
        )
        spikes, expected = Signal(), Signal()
        leaked = (self._current(now.total) - before) * self._leak
        m.d.comb += [
            before.eq(Mux(now.fresh, self._reset, Mux(last.step, earlier, latest))),
            after.eq(before + (leaked >> self._config.tau_bits)),
            spikes.eq(after >= self._threshold),
            *(Assert((value >= self._low) & (value <= self._high)) for value in (latest, earlier)),
            Assert(~now.step | ((after >= self._low) & (after <= self._high))),
            Assert(~last.step | (spike == expected)),
        ]
        with m.If(now.step):
            m.d.sync += [
                expected.eq(spikes),
                latest.eq(Mux(spikes, Mux(self._soft, after - self._threshold, self._reset), after)),
                earlier.eq(latest),
            ]
        return latest, before

    def _current(self, total: Value) -> Value:
        """What Algorithm 1 makes of a sum, saturated."""
        current = (total + self._bias) >> self._shift
        return Mux(current < self._low, self._low, Mux(current > self._high, self._high, current))

    def _registers(self, m: Module, came: list[_Came], latest: Value, before: Value) -> None:
        """What the lane's registers hold of the steps of 1 to 8 cycles ago, in the bits that the lane reads."""
        held, tau_bits, bits = self._held, self._config.tau_bits, self._config.membrane_bits
        totals = [one.total for one in came]
        charge = self._current(totals[8]) * self._leak
        whole = charge >> tau_bits
        holds = {
            1: held["term"] == totals[1],
            2: held["total"] == totals[2],
            3: held["biased"] == totals[3] + self._bias,
            4: held["shifted"] == (totals[4] + self._bias) >> self._shift,
            5: held["result"] == self._current(totals[5]),
            6: held["current"] == self._current(totals[6]),
            7: held["charged"] == self._current(totals[7]) * self._leak,
            8: (held["leaked"] == before * self._leak)
            & (held["fraction"] == charge[:tau_bits])
            & (held["filled"][:bits] == (before + whole)[:bits])
            & (held["above"][: bits + 2] == (before - self._threshold + whole)[: bits + 2]),
        }
        begins = came[7].step & came[7].fresh
        begun = came[8].step & came[8].fresh & ~came[9].step
        m.d.comb += [
            *(Assert(~came[age].step | right) for age, right in holds.items()),
            Assert(~begins | (held["membrane"] == self._reset)),
            Assert(begins | begun | (held["membrane"] == latest)),
        ]
