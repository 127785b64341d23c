"""HI-LIF: the membrane stays in its width."""

from amaranth.hdl import Assert, Assume, Module, Mux, Signal, signed

from sparta_sim.proofs.contract import Contract

__all__ = ["MembraneContract"]


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
