"""HI-LIF: the membrane stays in its width, and the lane computes the algorithm."""

from dataclasses import dataclass

from amaranth.hdl import Assert, Assume, Module, Mux, Signal, Value, signed

from sparta_hw.config import CoreConfig
from sparta_rtl.hilif import FireLane
from sparta_sim.proofs.contract import Contract

__all__ = ["FireLaneContract", "MembraneContract"]


class MembraneContract(Contract):
    """A membrane never leaves its width: ``v + ((x - v) leak >> q)`` lies between v and x, for any leak and threshold.

    Parameters
    ----------
    bits, leak_bits : int
        Of the membrane and of the leak; q is ``leak_bits``.
    """

    def __init__(self, bits: int, leak_bits: int) -> None:
        super().__init__()
        self._bits, self._leak_bits = bits, leak_bits
        self._x, self._leak = self.free(signed(bits), "x"), self.free(leak_bits, "leak")
        self._reset, self._soft = self.constant(signed(bits), "v_reset"), self.constant(1, "soft")
        self._threshold = self.free(signed(bits), "threshold")

    def elaborate(self, platform: object) -> Module:
        m = self.begin()
        x, threshold, high = self._x, self._threshold, 1 << self._bits - 1
        membrane, begun, v = Signal(signed(self._bits + 1)), Signal(), Signal(signed(self._bits + 1))
        m.d.comb += v.eq(Mux(begun, membrane, self._reset))
        updated = v + ((x * self._leak - v * self._leak) >> self._leak_bits)
        after_spike = Mux(self._soft, updated - threshold, self._reset)
        m.d.sync += [begun.eq(1), membrane.eq(Mux(updated >= threshold, after_spike, updated))]
        m.d.comb += [
            Assume(threshold >= 1),
            Assert((v >= -high) & (v < high)),
            Assert(updated >= Mux(v < x, v, x)),
            Assert(updated <= Mux(v < x, x, v)),
        ]
        return m


@dataclass(frozen=True, kw_only=True)
class _Narrow(CoreConfig):
    """A core of small numbers: multiplications of few bits are what a solver can decide."""

    membrane_bits = 4
    bias_bits = 4
    tau_bits = 3
    token_bits = 4


class FireLaneContract(Contract):
    """Spikes of the lane are those of Algorithm 1 in numbers of any width, which never leave the membrane's.

    Steps come in any cycles. Any of them may begin a neuron; another one goes on with the neuron of two cycles before,
    or, if none came in the two cycles before, with the last one.

    Parameters
    ----------
    lane : type
        What is proven.
    """

    def __init__(self, lane: type[FireLane] = FireLane) -> None:
        super().__init__()
        self._config, self._lane = _Narrow(name="narrow", acc_bits=9, sum_bits=16), lane
        config = self._config
        self._go, self._fresh = self.free(1, "go"), self.free(1, "fresh")
        self._sum = self.free(signed(5), "sum")
        self._bias = self.constant(signed(config.bias_bits), "bias")
        self._threshold = self.constant(signed(config.membrane_bits), "threshold")
        self._leak = self.constant(config.tau_bits, "leak")
        self._reset = self.constant(signed(config.membrane_bits), "v_reset")
        self._soft, self._shift = self.constant(1, "soft"), self.constant(2, "shift")

    def elaborate(self, platform: object) -> Module:
        m = self.begin()
        config = self._config
        m.submodules.lane = lane = self._lane(config)
        started = Signal()
        m.d.sync += started.eq(started | self._go)
        go, fresh, total = ([value] for value in (self._go, self._fresh, self._sum))
        for _ in range(9):
            for stages in (go, fresh, total):
                stages.append(_registered(m, stages[-1]))
        m.d.comb += [
            Assume(~self._go | self._fresh | (started & (go[2] | ~go[1]))),
            Assume((self._threshold >= 1) & (self._leak >= 1)),
        ]
        m.d.comb += [
            lane.sum.eq(total[0]),
            lane.current.eq(lane.result),
            lane.header.bias.eq(self._bias),
            lane.header.threshold.eq(self._threshold),
            lane.header.leak.eq(self._leak),
            lane.mode.soft.eq(self._soft),
            lane.mode.shift.eq(self._shift),
            lane.mode.v_reset.eq(self._reset),
            lane.strobes.read.eq(go[0]),
            lane.strobes.total.eq(go[1]),
            lane.strobes.fresh.eq(go[6] & fresh[6]),
            lane.strobes.update.eq(go[8]),
        ]
        low, high = -(1 << config.membrane_bits - 1), (1 << config.membrane_bits - 1) - 1
        current = (total[8] + self._bias) >> self._shift
        x = Mux(current < low, low, Mux(current > high, high, current))
        latest, earlier, before, after = (
            Signal(signed(12), name=name) for name in ("latest", "earlier", "before", "after")
        )
        spike, expected = Signal(), Signal()
        m.d.comb += [
            before.eq(Mux(fresh[8], self._reset, Mux(go[9], earlier, latest))),
            after.eq(before + ((x * self._leak - before * self._leak) >> config.tau_bits)),
            spike.eq(after >= self._threshold),
        ]
        with m.If(go[8]):
            m.d.comb += [Assert(after >= low), Assert(after <= high)]
            m.d.sync += [
                expected.eq(spike),
                latest.eq(Mux(spike, Mux(self._soft, after - self._threshold, self._reset), after)),
                earlier.eq(latest),
            ]
        with m.If(go[9]):
            m.d.comb += Assert(lane.spike == expected)
        return m


def _registered(m: Module, value: Value) -> Signal:
    later = Signal.like(value)
    m.d.sync += later.eq(value)
    return later
