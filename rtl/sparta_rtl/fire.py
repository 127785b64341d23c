"""The fire stage: steps of finished sums through the lanes, and results with their addresses."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination, Op
from sparta_rtl.accumulator import sums_layout
from sparta_rtl.hilif import RESULT_STAGE, SPIKE_STAGE, FireLane, lane_header, lane_mode, lane_strobes
from sparta_rtl.layouts import descriptor_layout, spike_item_layout, value_item_layout
from sparta_rtl.plane_items import PlaneItems
from sparta_rtl.steps import BUFFERS, StepSchedule, step_layout

__all__ = ["QUEUE_ITEMS", "READ_LEAD", "FireStage"]

READ_LEAD = 6
"""Sums of a group that are left to read when the next group's last entry may be issued."""

QUEUE_ITEMS = 8
"""Results computed or waiting. A group starts only if its result has a place, so nothing stops half-way."""


_LANES_OF_A_MODE = 4
"""Lanes that share a copy of what they need of the descriptor."""


class FireStage(wiring.Component):
    """Reads the sums of a position and step group, one step a cycle; HI-LIF steps of their currents in P lanes.

    Currents of two groups wait in a buffer, from which two positions take their steps in alternate cycles
    (:class:`~sparta_rtl.steps.StepSchedule`). With ``layer.integer`` the steps are bit planes, recombined most
    significant first (Horner's rule). With ``layer.direct`` too, what comes out is the current of ``out_steps`` steps.

    Of the silent positions of a tile (``issue.py``) only the first one takes its steps; its words are kept, and the
    others copy them in a step each.

    Members
    -------
    begin : In(1)
        A new tile, whose first sums may be there; everything is at rest.
    layer, tile : In(descriptor_layout(Op.LAYER)), In(10)
    header : In(ArrayLayout(lane_header(config), lanes))
    sums, full, kept, copied, final, taken : of the accumulators; sums are read in the cycle after it was decided to
    free : Out(1)
        Pulse, once a group that is not copied: the next one's last entry may be issued. Its sums arrive six cycles
        later at the earliest: after this group's last step was read, and in the cycle in which the next one can start.
    o_spikes : Out(stream.Signature(spike_item_layout(config)))
    o_values : Out(stream.Signature(value_item_layout(config)))
    idle : Out(1)
        The tile's last result has been accepted; groups of the next one wait for ``begin``.

    Latency and throughput: a group of n steps or planes is read in n cycles. Its first step is taken 6 cycles after its
    sum was (with ``direct`` after a position's last plane), the others every other cycle; as many steps a cycle as
    there are positions at work, one or two in two cycles. Its result is valid 6 cycles after its last step was taken
    (with ``integer`` after its last plane was read); ``idle`` follows one cycle after the last of it has been accepted.
    """

    begin: Signal
    layer: data.View
    tile: Signal
    header: data.View
    sums: data.View
    full: Signal
    kept: Signal
    copied: Signal
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
                "kept": In(1),
                "copied": In(1),
                "final": In(1),
                "taken": Out(1),
                "free": Out(1),
                "o_spikes": Out(stream.Signature(self._item)),
                "o_values": Out(stream.Signature(self._value)),
                "idle": Out(1, init=1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._stages = self._pipeline(m, RESULT_STAGE, "read")
        self._steps = self._pipeline(m, SPIKE_STAGE + 1, "fire")
        m.submodules.schedule = self._schedule = StepSchedule(self._config)
        self._values_only = Signal()
        self._accepted = Signal()
        m.d.sync += self._values_only.eq(self.layer.integer & ~self.layer.direct)
        self._read_sums(m)
        self._fire_lanes(m)
        self._keep_currents(m)
        self._queue_results(m)
        return m

    def _pipeline(self, m: Module, cycles: int, name: str) -> list[data.View]:
        stages = [Signal(step_layout(self._config), name=f"{name}_{n}") for n in range(cycles + 1)]
        m.d.sync += [later.eq(earlier) for earlier, later in pairwise(stages)]
        return stages

    def _read_sums(self, m: Module) -> None:
        """Which step is read when; the sums' hand-over; buffers claimed and results under way."""
        layer, steps = self.layer, self._config.steps
        stage = Signal(step_layout(self._config), name="decided")
        self._decided = stage
        step = Signal(range(steps))
        left = Signal.like(layer.steps)
        first = Signal(init=1)
        fresh = Signal(init=1)
        last = Signal()
        opens = Signal()
        may_open = Signal()
        remaining = Signal(range(max(steps, READ_LEAD) + 1))
        rests = Signal(init=1)
        over = Signal(init=1)
        over_next = Signal()
        position_end = Signal()
        m.d.comb += [
            remaining.eq(Mux(left < steps - step, left, steps - step)),
            position_end.eq((left == 1) | self.copied),
            last.eq((step == steps - 1) | position_end),
            stage.valid.eq(self.full & ~rests & (may_open | ~first | (layer.integer & ~fresh))),
            stage.step.eq(step),
            stage.fresh.eq(fresh),
            stage.group_end.eq(last),
            stage.position_end.eq(position_end),
            stage.final.eq(self.final),
            stage.kept.eq(self.kept),
            stage.copied.eq(self.copied),
            self.taken.eq(stage.valid & last),
            opens.eq(stage.valid & first & (fresh | ~layer.integer)),
            over_next.eq(~self.begin & (over | (self.taken & self.final))),
        ]
        m.d.sync += [
            self._stages[0].eq(stage),
            self.free.eq(
                stage.valid & ~self.copied & ((remaining == READ_LEAD) | (first & (remaining < READ_LEAD)))
            ),
            over.eq(over_next),
            rests.eq(over_next | (stage.valid & first & last)),
        ]
        with m.If(stage.valid):
            m.d.sync += [step.eq(Mux(last, 0, step + 1)), first.eq(last), fresh.eq(position_end)]
            m.d.sync += left.eq(Mux(position_end, layer.steps, left - 1))
        with m.If(self.begin):
            m.d.sync += left.eq(layer.steps)

        self._count_room(m, opens, may_open)

    def _count_room(self, m: Module, opens: Signal, may_open: Signal) -> None:
        """Buffers claimed and results under way, a cycle late: groups are read, or begun, two cycles apart and more."""
        claimed = Signal(range(BUFFERS + 1))
        under_way = Signal(range(QUEUE_ITEMS + 1))
        claimed_next = Signal.like(claimed)
        under_way_next = Signal.like(under_way)
        has_room = Signal(init=1)
        read = Signal()
        begun = Signal()
        accepted = Signal()
        values_only, schedule = self._values_only, self._schedule
        m.d.comb += [
            claimed_next.eq(claimed + (read & ~values_only) - schedule.released),
            under_way_next.eq(under_way + begun - accepted),
            schedule.has_room.eq(has_room),
        ]
        m.d.sync += [
            read.eq(opens),
            begun.eq(Mux(values_only, opens, schedule.begins)),
            accepted.eq(self._accepted),
            claimed.eq(claimed_next),
            under_way.eq(under_way_next),
            may_open.eq(Mux(values_only, under_way_next != QUEUE_ITEMS, claimed_next != BUFFERS)),
            has_room.eq(under_way_next != QUEUE_ITEMS),
        ]

    def _keep_currents(self, m: Module) -> None:
        """The buffer: currents of two groups, or with ``direct`` of two positions, and when the lanes take them."""
        config, layer, schedule = self._config, self.layer, self._schedule
        step_bits, bits = ceil_log2(config.steps), config.membrane_bits
        m.submodules.currents = cells = memory.Memory(
            shape=config.lanes * bits, depth=BUFFERS << step_bits, init=[]
        )
        write, read = cells.write_port(), cells.read_port(domain="comb")
        coming = self._stages[RESULT_STAGE - 1]
        written = self._stages[RESULT_STAGE]
        half = Signal()
        m.d.comb += [
            schedule.begin.eq(self.begin),
            schedule.layer.eq(layer),
            schedule.arrived.eq(
                coming.valid & ~self._values_only & Mux(layer.direct, coming.position_end, coming.step == 0)
            ),
            schedule.final.eq(coming.final),
            schedule.kept.eq(coming.kept),
            schedule.copied.eq(coming.copied),
            write.en.eq(written.valid & ~self._values_only & (written.position_end | ~layer.direct)),
            write.addr.eq(Cat(Mux(layer.direct, 0, written.step)[:step_bits], half)),
            write.data.eq(Cat(lane.result[:bits] for lane in self._lanes)),
            read.addr.eq(schedule.row),
        ]
        m.d.comb += [
            lane.current.eq(read.data.word_select(n, bits).as_signed()) for n, lane in enumerate(self._lanes)
        ]
        with m.If(write.en & written.group_end):
            m.d.sync += half.eq(~half)

    def _fire_lanes(self, m: Module) -> None:
        """P lanes; the words that gather a group's spikes, those of two groups in turn; words of silent positions."""
        config, layer, stages, steps = self._config, self.layer, self._stages, self._steps
        self._lanes = [FireLane(config) for _ in range(config.lanes)]
        self._words = Signal(self._item["words"].shape)
        before = Signal.like(self._words)
        silent_words = Signal.like(self._words, reset_less=True)
        coming, spiked, gathered = steps[SPIKE_STAGE - 1 :]
        copies = coming.valid & coming.copied
        fires = spiked.valid & ~spiked.copied
        strobes = Signal(lane_strobes())
        decided = self._decided
        taken = steps[0]
        begins = fires & (spiked.step == 0)
        modes = self._modes(m)
        m.d.sync += [
            before.eq(Mux(copies, silent_words, self._words)),
            taken.eq(self._schedule.step),
            strobes.read.eq(decided.valid),
            strobes.total.eq(stages[0].valid),
            strobes.keep.eq(layer.integer & ~stages[0].fresh),
            strobes.negate.eq(layer.integer & layer.signed & stages[0].fresh),
            strobes.fresh.eq(taken.valid & taken.fresh),
            strobes.update.eq(steps[SPIKE_STAGE - 2].valid),
        ]
        with m.If(gathered.valid & gathered.group_end & gathered.kept):
            m.d.sync += silent_words.eq(self._words)
        for n, lane in enumerate(self._lanes):
            m.submodules[f"lane_{n}"] = lane
            m.d.comb += [
                lane.sum.eq(self.sums[n][stages[0].step]),
                lane.header.eq(self.header[n]),
                lane.mode.eq(modes[n // _LANES_OF_A_MODE]),
                lane.strobes.eq(strobes),
            ]
            for step in range(config.steps):
                here = fires & (spiked.step == step)
                m.d.sync += self._words[n][step].eq(Mux(here, lane.spike, ~begins & before[n][step]))

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
            {
                "item": self._value,
                "line": self._item["line"].shape,
                "segment": self._item["segment"].shape,
                "final": 1,
            }
        )
        m.submodules.spikes = spikes = fifo.SyncFIFO(width=self._item.size + 1, depth=QUEUE_ITEMS)
        m.submodules.values = values = fifo.SyncFIFO(width=placed.size, depth=QUEUE_ITEMS)
        m.submodules.planes = planes = PlaneItems(self._config)
        item = Signal(self._item)
        value = Signal(placed)
        spiked, valued = self._steps[SPIKE_STAGE + 1], self._stages[RESULT_STAGE]
        spikes_end = Signal()
        values_end = Signal()
        spikes_taken = Signal()
        values_taken = Signal()
        integer = self._values_only
        to_tokens = Signal()
        queued = data.View(placed, values.r_data)
        m.d.sync += to_tokens.eq(layer.destination == Destination.TOKENS)
        m.d.comb += [
            spikes_end.eq(spiked.valid & spiked.group_end),
            values_end.eq(valued.valid & valued.position_end & integer),
            spikes.w_en.eq(spikes_end),
            spikes.w_data.eq(Cat(item, spiked.final)),
            values.w_en.eq(values_end),
            values.w_data.eq(value),
            value.line.eq(item.line),
            value.segment.eq(item.segment),
            value.final.eq(valued.final),
            planes.value.eq(queued.item),
            planes.line.eq(queued.line),
            planes.segment.eq(queued.segment),
            planes.groups.eq(layer.out_groups),
            planes.valid.eq(values.r_rdy & to_tokens),
            planes.o.ready.eq(self.o_spikes.ready),
            self.o_spikes.valid.eq(Mux(to_tokens, planes.o.valid, spikes.r_rdy)),
            self.o_spikes.payload.eq(Mux(to_tokens, Value.cast(planes.o.payload), spikes.r_data[:-1])),
            spikes.r_en.eq(self.o_spikes.ready & ~to_tokens),
            self.o_values.valid.eq(values.r_rdy & ~to_tokens),
            self.o_values.payload.eq(queued.item),
            values.r_en.eq(Mux(to_tokens, planes.taken, self.o_values.ready)),
            spikes_taken.eq(spikes.r_rdy & spikes.r_en),
            values_taken.eq(values.r_rdy & values.r_en),
            self._accepted.eq(spikes_taken | values_taken),
        ]
        with m.If(self.begin):
            m.d.sync += self.idle.eq(0)
        with m.Elif((spikes_taken & spikes.r_data[-1]) | (values_taken & queued.final)):
            m.d.sync += self.idle.eq(1)
        m.d.comb += [item.kept.eq(spiked.kept), item.copied.eq(spiked.copied)]
        self._addresses(m, item, value.item, spikes_end | values_end, integer | spiked.position_end)

    def _addresses(
        self, m: Module, item: data.View, value: data.View, advance: Value, position_end: Value
    ) -> None:
        """Counters of the next result: ``line = out_base + (entry // L) * out_groups + group``.

        They settle in three cycles: so far apart are the results of two positions (``POSITIONS_APART``), and integers
        twice as far.
        """
        config, layer = self._config, self.layer
        lane_bits, line_bits = exact_log2(config.lanes), exact_log2(config.line)
        entry = Signal(ceil_log2(config.spike_lines) + line_bits)
        first_lane = Signal.like(entry)
        position = Signal.like(item.position)
        offset = Signal.like(item.line, reset_less=True)
        group = Signal.like(layer.out_groups)
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
