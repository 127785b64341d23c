"""One lane of the fire stage: from a sum to a membrane step and a spike, or to an integer."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_rtl.pipeline import saturate

__all__ = ["RESULT_STAGE", "SPIKE_STAGE", "FireLane", "lane_header", "lane_mode", "lane_strobes"]

RESULT_STAGE = 5
"""Cycles from reading a sum to its shifted and saturated ``result``."""

SPIKE_STAGE = 4
"""Cycles from a step's current to its ``spike``."""


def lane_header(config: CoreConfig) -> data.StructLayout:
    """Parameters of one output channel, in the order of a tile's header rows."""
    return data.StructLayout(
        {
            "bias": signed(config.bias_bits),
            "threshold": signed(config.membrane_bits),
            "leak": config.tau_bits,
        }
    )


def lane_mode(config: CoreConfig) -> data.StructLayout:
    """What every lane needs of a LAYER descriptor; ``logits`` : that is its destination."""
    return data.StructLayout(
        {
            "integer": 1,
            "logits": 1,
            "soft": 1,
            "shift": 5,
            "v_reset": signed(config.membrane_bits),
        }
    )


def lane_strobes() -> data.StructLayout:
    """When the lanes' registers move; ``n`` cycles after the sum was read, or the current was there.

    read : 0, take the sum;  total : 1, its Horner step;  keep : 1, add to twice the total of before;
    negate : 1, subtract it.

    fresh : 1, the membrane begins at ``v_reset``;  update : 3, new membrane and spike. In between, the current times
    the leak and the membrane times the leak are computed in every cycle.
    """
    names = ("read", "total", "keep", "negate", "fresh", "update")
    return data.StructLayout(dict.fromkeys(names, 1))


class FireLane(wiring.Component):
    """Bias, shift and saturation of one sum; one HI-LIF step of a current (paper Algorithm 1, ARCHITECTURE.md)::

        total  = (2 * total if keep else 0) +- sum
        result = sat((total + bias) >> shift)       s16;  integer: s8;  integer and logits: not saturated

        v'     = v + ((current * leak - v * leak) >> 8)
        spike  = v' >= threshold
        v      = v_reset or v' - threshold after a spike (hard, soft), else v'

    Members
    -------
    sum : In(signed(acc_bits))
        In the cycle of ``strobes.read``.
    header : In(lane_header(config))
    mode : In(lane_mode(config))
    strobes : In(lane_strobes())
    result : Out(signed(sum_bits))
        Valid :data:`RESULT_STAGE` cycles after ``read``.
    current : In(signed(membrane_bits))
        Three cycles before ``strobes.update``.
    spike : Out(1)
        Valid :data:`SPIKE_STAGE` cycles after ``current``, until the next ``update``.

    Latency and throughput: a result a cycle; a step a cycle, but the loop product, membrane has two cycles: they hold
    two neurons in turn. Each takes its steps exactly two cycles apart, or without another between them. Two
    multipliers, membrane_bits x (tau_bits + 1) bits signed, with nothing between them and registers.
    """

    sum: Signal
    header: data.View
    mode: data.View
    strobes: data.View
    result: Signal
    current: Signal
    spike: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "sum": In(signed(config.acc_bits)),
                "header": In(lane_header(config)),
                "mode": In(lane_mode(config)),
                "strobes": In(lane_strobes()),
                "result": Out(signed(config.sum_bits)),
                "current": In(signed(config.membrane_bits)),
                "spike": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, mode, strobes = self._config, self.mode, self.strobes
        total_bits = max(config.sum_bits, config.acc_bits)
        term = Signal(signed(config.acc_bits), reset_less=True)
        total = Signal(signed(total_bits), reset_less=True)
        biased = Signal(signed(max(total_bits, config.bias_bits) + 1), reset_less=True)
        shifted = Signal.like(biased)
        result = Signal.like(self.result, reset_less=True)
        m.d.comb += self.result.eq(result)
        with m.If(strobes.read):
            m.d.sync += term.eq(self.sum)
        with m.If(strobes.total):
            m.d.sync += total.eq(
                Mux(strobes.keep, total << 1, 0) + Mux(strobes.negate, ~term, term) + strobes.negate
            )
        m.d.sync += [
            biased.eq(total + self.header.bias),
            shifted.eq(biased >> mode.shift),
            result.eq(saturate(shifted, config.membrane_bits)),
        ]
        with m.If(mode.integer):
            m.d.sync += result.eq(Mux(mode.logits, shifted, saturate(shifted, config.token_bits)))
        self._membrane(m)
        return m

    def _membrane(self, m: Module) -> None:
        """The loop of two cycles; the charge is added while the leak is multiplied, and ``v' - threshold`` is
        computed beside ``v'``: one subtraction is left after the product.
        """
        config, mode, header, strobes = self._config, self.mode, self.header, self.strobes
        bits = config.membrane_bits
        membrane = Signal(signed(bits), reset_less=True)
        current = Signal(signed(bits), reset_less=True)
        charged = Signal(signed(bits + config.tau_bits + 1), reset_less=True)
        leaked = Signal(signed(bits + config.tau_bits + 1), reset_less=True)
        whole = charged >> config.tau_bits
        fraction = Signal(config.tau_bits, reset_less=True)
        filled = Signal(signed(bits + 2), reset_less=True)
        above = Signal(signed(bits + 3), reset_less=True)
        updated = Signal(signed(bits))
        over = Signal(signed(bits + 2))
        m.d.comb += [
            updated.eq((Cat(fraction, filled).as_signed() - leaked) >> config.tau_bits),
            over.eq((Cat(fraction, above).as_signed() - leaked) >> config.tau_bits),
        ]
        m.d.sync += [
            current.eq(self.current),
            charged.eq(current * header.leak),
            leaked.eq(membrane * header.leak),
            fraction.eq(charged[: config.tau_bits]),
            filled.eq(membrane + whole),
            above.eq(membrane - header.threshold + whole),
        ]
        with m.If(strobes.update):
            m.d.sync += [self.spike.eq(over >= 0), membrane.eq(updated)]
            with m.If(over >= 0):
                m.d.sync += membrane.eq(Mux(mode.soft, over, mode.v_reset))
        with m.If(strobes.fresh):
            m.d.sync += membrane.eq(mode.v_reset)
