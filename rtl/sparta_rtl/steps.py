"""When the lanes take which HI-LIF step: two groups of steps in alternate cycles."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_rtl.layouts import descriptor_layout

__all__ = ["BUFFERS", "LANE_CYCLES", "POSITIONS_APART", "StepSchedule", "release_step", "step_layout"]

LANE_CYCLES = 2
"""Cycles from a step of a neuron to its next one: the lane's loop."""

BUFFERS = 2
"""Groups of currents that wait or are taken."""

POSITIONS_APART = 3
"""Cycles from the first step of a position's last group to the next position's first step, at least."""


def release_step(steps: int) -> int:
    """Step of a group, of ``steps`` at most, with which its buffer may be claimed again.

    The claim is decided two cycles later, and overwrites step k eight + k cycles later, at the end of the cycle; the
    last step is read until then: 2 (n - 1) + 1 cycles after the group's first one was taken.
    """
    return max(0, (steps - 7) // 2)


def step_layout(config: CoreConfig) -> data.StructLayout:
    """What travels with a step.

    step : place in its group;  fresh : first of its position;  group_end, position_end : last of its result words,
    of its position;  final : of the tile;  kept : its spikes are those of later silent positions;  copied : the only
    one of a position, whose spikes are those.
    """
    flags = dict.fromkeys(("fresh", "group_end", "position_end", "final", "kept", "copied"), 1)
    return data.StructLayout({"valid": 1, "step": range(config.steps), **flags})


class StepSchedule(wiring.Component):
    """Takes buffered groups in their order, two at a time: each has every other cycle.

    While a group goes on, the next one may begin in the cycles between if it is another position's; a position's own
    next group begins when both are at their end, so the one membrane register is never missed (``hilif.py``). So does a
    copied one, of one step: its result is behind those of the positions before, and far enough from them.

    Members
    -------
    begin : In(1)
        A new tile; everything is at rest.
    layer : In(descriptor_layout(Op.LAYER))
        ``out_steps`` a position, from one current with ``direct``.
    arrived, final : In(1), In(1)
        Pulse: from the next cycle on, one more group can be taken (with ``direct`` a position);  it is the tile's last.
    kept, copied : In(1), In(1)
        Of the group that arrives.
    has_room : In(1)
        A result that begins has a place.
    step : Out(step_layout(config))
        Taken in this cycle.
    row : Out(range(BUFFERS * 2 ** ceil(log2 S)))
        Of its current in the buffer, one cycle later.
    begins : Out(1)
        ``step`` is the first of a result.
    released : Out(1)
        Pulse, one cycle later: a buffer may be claimed.

    Latency and throughput: a step is taken in the cycle after ``arrived`` at the earliest; a step a cycle, a step
    every :data:`LANE_CYCLES` while there is one group only.
    """

    begin: Signal
    layer: data.View
    arrived: Signal
    final: Signal
    kept: Signal
    copied: Signal
    has_room: Signal
    step: data.View
    row: Signal
    begins: Signal
    released: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "begin": In(1),
                "layer": In(descriptor_layout(Op.LAYER)),
                "arrived": In(1),
                "final": In(1),
                "kept": In(1),
                "copied": In(1),
                "has_room": In(1),
                "step": Out(step_layout(config)),
                "row": Out(1 + ceil_log2(config.steps)),
                "begins": Out(1),
                "released": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        steps, layer, step = self._config.steps, self.layer, self.step
        group = data.StructLayout(
            {
                "busy": 1,
                "step": range(steps),
                "size": range(steps),
                "buffer": 1,
                "position_end": 1,
                "final": 1,
                "kept": 1,
                "copied": 1,
            }
        )
        # Groups change places in every cycle: ``mine`` may take a step in this one, ``other`` in the next.
        mine = Signal(group)
        after = Signal(group)
        other = Signal(group)
        ahead = Signal(group)
        mine_last = Signal()
        settles = Signal(POSITIONS_APART - 1)
        fresh = Signal(init=1)
        begins = Signal()
        last = Signal()
        taking = Signal(POSITIONS_APART - 1)  # in the cycles before
        apart = Signal()
        waiting = Signal(range(BUFFERS + 1))
        taken = Signal()
        m.d.comb += [
            begins.eq(~mine.busy & self.has_room & (waiting.any() | (layer.direct & ~fresh)) & apart),
            apart.eq(Mux(fresh, ~settles.any() & ~(ahead.copied & taking.any()), ~taking[0])),
            last.eq(Mux(mine.busy, mine_last, ahead.size == 0)),
            step.valid.eq(mine.busy | begins),
            step.step.eq(mine.step),
            step.fresh.eq(begins & fresh),
            step.group_end.eq(last),
            step.position_end.eq(last & after.position_end),
            step.final.eq(last & after.final),
            step.kept.eq(after.kept),
            step.copied.eq(after.copied),
            after.eq(Mux(mine.busy, mine, ahead)),
            after.busy.eq(step.valid & ~last),
            after.step.eq(Mux(after.busy, mine.step + 1, 0)),
            self.begins.eq(begins),
            taken.eq(begins & (ahead.position_end | ~layer.direct)),
        ]
        m.d.sync += [
            taking.eq(Cat(step.valid, taking)),
            other.eq(after),
            mine.eq(other),
            mine_last.eq(other.step == other.size),
            settles.eq(Cat(begins & ahead.position_end, settles)),
            waiting.eq(waiting + self.arrived - taken),
            self.row.eq(Cat(Mux(layer.direct, 0, mine.step)[: ceil_log2(steps)], after.buffer)),
            self.released.eq(step.valid & Mux(layer.direct, step.position_end, self._releases(step))),
        ]
        self._next_group(m, ahead, begins, taken, fresh, waiting)
        return m

    def _releases(self, step: data.View) -> Signal:
        at = release_step(self._config.steps)
        return (step.step == at) | (step.group_end & (step.step < at))

    def _next_group(
        self, m: Module, ahead: data.View, begins: Signal, taken: Signal, fresh: Signal, waiting: Signal
    ) -> None:
        """The group that begins next; two cycles after one began, which none does before."""
        steps = self._config.steps
        layer = self.layer
        left = Signal.like(self.layer.out_steps)
        final = Signal()
        buffer = Signal()
        position_end = Signal()
        size = Signal(range(steps))
        arriving = Signal()
        marks = Signal(data.ArrayLayout(data.StructLayout({"kept": 1, "copied": 1}), BUFFERS))
        m.d.comb += [
            ahead.position_end.eq(position_end),
            ahead.kept.eq(marks[buffer].kept),
            ahead.copied.eq(marks[buffer].copied),
            ahead.size.eq(Mux(ahead.copied, 0, size)),
            ahead.buffer.eq(buffer),
            ahead.final.eq(final & (waiting == 1) & position_end),
        ]
        m.d.sync += [
            position_end.eq(left <= steps),
            size.eq(Mux(left <= steps, left, steps) - 1),
        ]
        with m.If(begins):
            m.d.sync += [fresh.eq(position_end), left.eq(Mux(position_end, layer.out_steps, left - steps))]
        with m.If(taken):
            m.d.sync += buffer.eq(~buffer)
        with m.If(self.arrived):
            m.d.sync += [
                arriving.eq(~arriving),
                marks[arriving].kept.eq(self.kept),
                marks[arriving].copied.eq(self.copied),
            ]
        with m.If(self.arrived & self.final):
            m.d.sync += final.eq(1)
        with m.If(self.begin):
            m.d.sync += [left.eq(layer.out_steps), final.eq(0)]
