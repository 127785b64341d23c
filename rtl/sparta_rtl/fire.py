"""The fire stage: steps of finished sums through the lanes, and results with their addresses."""

from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination, Op
from sparta_rtl.accumulator import sums_layout
from sparta_rtl.hilif import RESULT_STAGE, SPIKE_STAGE, FireLane, lane_header, lane_mode, lane_strobes
from sparta_rtl.layouts import descriptor_layout, spike_item_layout, value_item_layout
from sparta_rtl.plane_items import PlaneItems

__all__ = ["PLANE_LEAD", "QUEUE_ITEMS", "STEP_CYCLES", "STEP_LEAD", "FireStage"]

STEP_CYCLES = 2
"""Cycles from one HI-LIF step to the next, in all lanes at once; bit planes follow each other in every cycle."""

STEP_LEAD, PLANE_LEAD = 3, 6
"""Steps, or planes, of a group that are left when the next group's last entry may be issued."""

QUEUE_ITEMS = 6
"""Results computed or waiting. A group starts only if its result has a place, so nothing stops half-way."""


_LANES_OF_A_MODE = 4
"""Lanes that share a copy of what they need of the descriptor."""


class FireStage(wiring.Component):
    """Takes the sums of a position and step group, one step every :data:`STEP_CYCLES` cycles, into P lanes.

    With ``layer.integer`` the steps are bit planes, recombined most significant first (Horner's rule), one every cycle.
    With ``layer.direct`` too, the recombined sum is the current of ``out_steps`` HI-LIF steps that follow.

    Members
    -------
    begin : In(1)
        A new tile; everything is at rest.
    layer, tile : In(descriptor_layout(Op.LAYER)), In(10)
    header : In(ArrayLayout(lane_header(config), lanes))
    sums, full, final, taken : of the accumulators; sums are read in the cycle after it was decided to
    free : Out(1)
        Pulse, once a group: the next group's last entry may be issued. Its sums arrive six cycles later at
        the earliest: after this group's last step was read, and in the cycle in which the next one can start.
    o_spikes : Out(stream.Signature(spike_item_layout(config)))
    o_values : Out(stream.Signature(value_item_layout(config)))
    idle : Out(1)
        The tile's last result has been accepted.

    Latency and throughput: a group of n steps takes 2 n cycles, one of n planes n cycles, and 2 ``out_steps`` more with
    ``direct`` after a position's last one. Its result is valid 10 cycles after its last step (6 with ``integer``);
    ``idle`` follows one cycle after the last of it has been accepted.
    """

    begin: Signal
    layer: data.View
    tile: Signal
    header: data.View
    sums: data.View
    full: Signal
    final: Signal
    taken: Signal
    free: Signal
    o_spikes: stream.Interface
    o_values: stream.Interface
    idle: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        self._item = spike_item_layout(config)
        self._value = value_item_layout(config)
        super().__init__(
            {
                "begin": In(1),
                "layer": In(descriptor_layout(Op.LAYER)),
                "tile": In(10),
                "header": In(data.ArrayLayout(lane_header(config), config.lanes)),
                "sums": In(sums_layout(config)),
                "full": In(1),
                "final": In(1),
                "taken": Out(1),
                "free": Out(1),
                "o_spikes": Out(stream.Signature(self._item)),
                "o_values": Out(stream.Signature(self._value)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._stages = [Signal(self._stage_layout(), name=f"stage_{n}") for n in range(SPIKE_STAGE + 2)]
        m.d.sync += [later.eq(earlier) for earlier, later in pairwise(self._stages)]
        with m.If(~self._stages[RESULT_STAGE].fires):
            m.d.sync += self._stages[RESULT_STAGE + 1].valid.eq(0)
        self._read_steps(m)
        self._fire_lanes(m)
        self._queue_results(m)
        return m

    def _stage_layout(self) -> data.StructLayout:
        """What travels with a step.

        plane : it reads sums;  fires : it moves the membrane;  step : place in its group;  fresh : first of its
        position;  group_end, position_end : last of its result words, of its position;  final : of the tile.
        """
        return data.StructLayout(
            {
                "valid": 1,
                "plane": 1,
                "fires": 1,
                "step": range(self._config.steps),
                "fresh": 1,
                "group_end": 1,
                "position_end": 1,
                "final": 1,
            }
        )

    def _read_steps(self, m: Module) -> None:
        """Which step is read when; the sums' hand-over; results under way."""
        layer, steps, stage = self.layer, self._config.steps, Signal(self._stage_layout(), name="decided")
        self._decided = stage
        phase = Signal(range(STEP_CYCLES))
        step, left = Signal(range(steps)), Signal.like(layer.steps)
        replay, held_final = Signal(), Signal()
        self._accepted = Signal()
        under_way, opens = Signal(range(QUEUE_ITEMS + 1)), Signal()
        first, last, has_room = Signal(), Signal(), Signal(init=1)
        under_way_next, self._empty = Signal.like(under_way), Signal(init=1)
        remaining, lead = Signal(range(max(steps, PLANE_LEAD) + 1)), Signal(range(PLANE_LEAD + 1))
        m.d.comb += [
            first.eq(step == 0),
            remaining.eq(Mux(left < steps - step, left, steps - step)),
            lead.eq(Mux(layer.integer, PLANE_LEAD, STEP_LEAD)),
            last.eq((step == steps - 1) | (left == 1)),
            stage.valid.eq((phase == 0) & (self.full | replay) & (~first | has_room)),
            stage.plane.eq(~replay),
            stage.fires.eq(~layer.integer | replay),
            stage.step.eq(step),
            stage.fresh.eq(left == Mux(replay, layer.out_steps, layer.steps)),
            stage.group_end.eq(last),
            stage.position_end.eq(left == 1),
            stage.final.eq(last & Mux(replay, held_final, self.final)),
            self.taken.eq(stage.valid & last & ~replay),
            opens.eq(stage.valid & first & Mux(layer.direct, replay, ~layer.integer | (left <= steps))),
        ]
        m.d.sync += [
            self._stages[0].eq(stage),
            self.free.eq(stage.valid & ~replay & ((remaining == lead) | (first & (remaining < lead)))),
        ]
        with m.If(phase != 0):
            m.d.sync += phase.eq(phase - 1)
        with m.If(stage.valid):
            m.d.sync += [step.eq(step + 1), left.eq(left - 1)]
            m.d.sync += phase.eq(Mux(layer.integer & ~replay, 0, STEP_CYCLES - 1))
            with m.If(last):
                m.d.sync += step.eq(0)
            with m.If(left == 1):
                with m.If(layer.direct & ~replay):
                    m.d.sync += [replay.eq(1), left.eq(layer.out_steps), held_final.eq(self.final)]
                with m.Else():
                    m.d.sync += [replay.eq(0), left.eq(layer.steps)]
        with m.If(self.begin):
            m.d.sync += left.eq(layer.steps)
        m.d.comb += under_way_next.eq(under_way + opens - self._accepted)
        m.d.sync += [
            under_way.eq(under_way_next),
            has_room.eq(under_way_next != QUEUE_ITEMS),
            self._empty.eq(under_way_next == 0),
        ]

    def _fire_lanes(self, m: Module) -> None:
        """P lanes, and the words that gather a group's spikes."""
        config, layer, stages = self._config, self.layer, self._stages
        self._lanes = [FireLane(config) for _ in range(config.lanes)]
        self._words = Signal(self._item["words"].shape)
        spiked, strobes, decided = stages[SPIKE_STAGE], Signal(lane_strobes()), self._decided
        modes = self._modes(m)
        charging = stages[RESULT_STAGE - 1].valid & stages[RESULT_STAGE - 1].fires
        m.d.sync += [
            strobes.read.eq(decided.valid & decided.plane),
            strobes.total.eq(stages[0].valid & stages[0].plane),
            strobes.keep.eq(layer.integer & ~stages[0].fresh),
            strobes.negate.eq(layer.integer & layer.signed & stages[0].fresh),
            strobes.charge.eq(charging),
            strobes.fresh.eq(charging & stages[RESULT_STAGE - 1].fresh),
            strobes.leak.eq(strobes.charge),
            strobes.update.eq(strobes.leak),
        ]
        for n, lane in enumerate(self._lanes):
            m.submodules[f"lane_{n}"] = lane
            m.d.comb += [
                lane.sum.eq(self.sums[n][stages[0].step]),
                lane.header.eq(self.header[n]),
                lane.mode.eq(modes[n // _LANES_OF_A_MODE]),
                lane.strobes.eq(strobes),
            ]
            for step in range(config.steps):
                here = spiked.step == step
                with m.If(spiked.valid & (here | (spiked.step == 0))):
                    m.d.sync += self._words[n][step].eq(lane.spike & here)

    def _modes(self, m: Module) -> list[data.View]:
        """What the lanes need of the descriptor, a copy for a few of them, each one cycle after the one before."""
        layer, lanes = self.layer, self._config.lanes
        modes = [
            Signal(lane_mode(self._config), name=f"mode{n}") for n in range(-(-lanes // _LANES_OF_A_MODE))
        ]
        m.d.sync += [
            modes[0].integer.eq(layer.integer & ~layer.direct),
            modes[0].logits.eq(layer.destination == Destination.LOGITS),
            modes[0].soft.eq(layer.soft),
            modes[0].shift.eq(layer.shift),
            modes[0].v_reset.eq(layer.v_reset),
            *(later.eq(earlier) for earlier, later in pairwise(modes)),
        ]
        return modes

    def _queue_results(self, m: Module) -> None:
        """Finished results, with their addresses, into the output queues."""
        layer = self.layer
        placed = data.StructLayout(
            {"item": self._value, "line": self._item["line"].shape, "segment": self._item["segment"].shape}
        )
        m.submodules.spikes = spikes = fifo.SyncFIFO(width=self._item.size, depth=QUEUE_ITEMS)
        m.submodules.values = values = fifo.SyncFIFO(width=placed.size, depth=QUEUE_ITEMS)
        m.submodules.planes = planes = PlaneItems(self._config)
        item, value = Signal(self._item), Signal(placed)
        spiked, valued = self._stages[SPIKE_STAGE + 1], self._stages[RESULT_STAGE]
        spikes_end, values_end, complete = Signal(), Signal(), Signal()
        integer, to_tokens = Signal(), Signal()
        queued = data.View(placed, values.r_data)
        m.d.sync += [
            integer.eq(layer.integer & ~layer.direct),
            to_tokens.eq(layer.destination == Destination.TOKENS),
        ]
        m.d.comb += [
            spikes_end.eq(spiked.valid & spiked.group_end),
            values_end.eq(valued.valid & valued.position_end & integer),
            spikes.w_en.eq(spikes_end),
            spikes.w_data.eq(item),
            values.w_en.eq(values_end),
            values.w_data.eq(value),
            value.line.eq(item.line),
            value.segment.eq(item.segment),
            planes.value.eq(queued.item),
            planes.line.eq(queued.line),
            planes.segment.eq(queued.segment),
            planes.groups.eq(layer.out_groups),
            planes.valid.eq(values.r_rdy & to_tokens),
            planes.o.ready.eq(self.o_spikes.ready),
            self.o_spikes.valid.eq(Mux(to_tokens, planes.o.valid, spikes.r_rdy)),
            self.o_spikes.payload.eq(Mux(to_tokens, Value.cast(planes.o.payload), Value.cast(spikes.r_data))),
            spikes.r_en.eq(self.o_spikes.ready & ~to_tokens),
            self.o_values.valid.eq(values.r_rdy & ~to_tokens),
            self.o_values.payload.eq(queued.item),
            values.r_en.eq(Mux(to_tokens, planes.taken, self.o_values.ready)),
            self._accepted.eq((spikes.r_rdy & spikes.r_en) | (values.r_rdy & values.r_en)),
            self.idle.eq(complete & self._empty),
        ]
        with m.If(self.begin):
            m.d.sync += complete.eq(0)
        with m.Elif((spikes_end & spiked.final) | (values_end & valued.final)):
            m.d.sync += complete.eq(1)
        self._addresses(m, item, value.item, spikes_end | values_end, integer | spiked.position_end)

    def _addresses(
        self, m: Module, item: data.View, value: data.View, advance: Value, position_end: Value
    ) -> None:
        """Counters of the next result: ``line = out_base + (entry // L) * out_groups + group``.

        They settle in three cycles; the results of two positions are at least six apart.
        """
        config, layer = self._config, self.layer
        lane_bits, line_bits = exact_log2(config.lanes), exact_log2(config.line)
        entry = Signal(ceil_log2(config.spike_lines) + line_bits)
        first_lane, position = Signal.like(entry), Signal.like(item.position)
        offset, group = Signal.like(item.line, reset_less=True), Signal.like(layer.out_groups)
        with m.If(self.begin):
            m.d.sync += [entry.eq(0), position.eq(0), group.eq(0)]
        with m.Elif(advance):
            m.d.sync += group.eq(group + 1)
            with m.If(position_end):
                m.d.sync += [entry.eq(entry + layer.out_pitch), position.eq(position + 1), group.eq(0)]
        m.d.sync += [
            first_lane.eq(entry + (self.tile << lane_bits)),
            offset.eq(first_lane[line_bits:] * layer.out_groups),
        ]
        m.d.comb += [
            item.line.eq(layer.out_base + offset + group),
            item.segment.eq(first_lane[lane_bits:line_bits]),
            item.position.eq(position),
            item.tile.eq(self.tile),
            item.first_tile.eq(self.tile == 0),
            item.first_group.eq(group == 0),
            item.last_group.eq(group + 1 == layer.out_groups),
            item.words.eq(self._words),
            value.position.eq(position),
            value.tile.eq(self.tile),
        ]
        m.d.comb += [value.values[n].eq(lane.result) for n, lane in enumerate(self._lanes)]
