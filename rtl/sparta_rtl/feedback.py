"""The FEEDBACK unit: a moving average of the attention's activity (paper "Feedback Controller")."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_rtl.layouts import descriptor_layout
from sparta_rtl.pipeline import delay

__all__ = ["FEEDBACK_CYCLES", "FeedbackUnit"]

FEEDBACK_CYCLES = 8
"""Cycles from ``start`` to ``done``: last value, shifted sum, activity, error, distance, change, state."""

_ACTIVITY_BITS = 16
_SUM_BITS = 48


class FeedbackUnit(wiring.Component):
    """State of the controller, s26.8, kept from one inference to the next::

        a     = min((sum of |value|) >> activity_shift, 65535)
        state = state + ((((a - target) << 8) - state) >> rate_shift)

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    start, done : In(1), Out(1)
    layer : In(descriptor_layout(Op.FEEDBACK))
    begin : In(1)
        An inference begins: the sum is zero.
    valid, value : In(1), In(signed(8))
        One accepted value of the attention.
    reset : In(1)
        The state is zero.
    load, load_value : In(1), In(signed(26))
        The state is this.
    state : Out(signed(26))

    Notes
    -----
    ``cycles = 8``.
    """

    start: Signal
    done: Signal
    layer: Signal
    begin: Signal
    valid: Signal
    value: Signal
    reset: Signal
    load: Signal
    load_value: Signal
    state: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        state = signed(config.state_bits)
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "layer": In(descriptor_layout(Op.FEEDBACK)),
                "begin": In(1),
                "valid": In(1),
                "value": In(signed(config.token_bits)),
                "reset": In(1),
                "load": In(1),
                "load_value": In(state),
                "state": Out(state),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, layer = self._config, self.layer
        total = Signal(_SUM_BITS)
        activity = Signal(_ACTIVITY_BITS)
        error = Signal(signed(config.state_bits))
        distance = Signal(signed(config.state_bits + 1))
        shifted = Signal.like(total)
        largest = (1 << _ACTIVITY_BITS) - 1
        value = Signal.like(self.value)
        magnitude = Signal(config.token_bits)
        change = Signal.like(distance)
        valid = delay(m, self.valid, 2)
        m.d.sync += [value.eq(self.value), magnitude.eq(Mux(value < 0, -value, value))]
        with m.If(self.begin):
            m.d.sync += total.eq(0)
        with m.Elif(valid):
            m.d.sync += total.eq(total + magnitude)

        running = Signal(FEEDBACK_CYCLES - 1)
        m.d.sync += [
            shifted.eq(total >> layer.activity_shift),
            running.eq((running << 1) | self.start),
            activity.eq(Mux(shifted > largest, largest, shifted)),
            error.eq((activity - layer.target) << config.state_frac),
            distance.eq(error - self.state),
            change.eq(distance >> layer.rate_shift),
            self.done.eq(running[-1]),
        ]
        with m.If(self.reset):
            m.d.sync += self.state.eq(0)
        with m.Elif(self.load):
            m.d.sync += self.state.eq(self.load_value)
        with m.Elif(running[-1]):
            m.d.sync += self.state.eq(self.state + change)
        return m
