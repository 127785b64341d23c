"""The fire stage of cores whose lanes share it: F lanes at a time, their membranes and parameters in small memories."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_rtl.accumulator import sums_layout
from sparta_rtl.fire import READ_LEAD
from sparta_rtl.hilif import lane_header
from sparta_rtl.layouts import descriptor_layout, spike_item_layout
from sparta_rtl.pipeline import chosen_by, saturate

__all__ = ["LOOP_CYCLES", "SharedFireStage"]

LOOP_CYCLES = 4
"""Cycles from reading a membrane to reading it again: the fewest that a step takes."""

_MEMBRANE, _RESULT, _ITEM = 3, 6, 7
"""Stages, in cycles after a sum was read: membrane read, membrane written, item valid."""


class SharedFireStage(wiring.Component):
    """Takes the sums of a position and step F lanes at a time, one slot of them every cycle::

        x  = sat_s16((sum + bias) >> shift)
        v' = v + (((x - v) * leak) >> 8)          spike = v' >= threshold
        v  = v_reset or v' - threshold after a spike (hard, soft), else v'

    Slot s is lanes s F .. s F + F - 1. One step at a time: S = 1.

    Members
    -------
    begin : In(1)
        A new tile; everything is at rest.
    layer, tile : In(descriptor_layout(Op.LAYER)), In(10)
        ``tile`` from the cycle after ``begin`` on. ``slots`` of them fire. Spikes only: not ``integer``, no feedback.
    header_valid, header_row, header : In(1), In(range(header_rows)), In(P * weight_bits)
        Header rows of the tile, as they come from the weight memory.
    sums, full, final, taken : of the accumulators
    free : Out(1)
        Pulse, once a step: the next step's last entry may be issued.
    o_spikes : Out(stream.Signature(spike_item_layout(config)))
        One item a slot, in order. An item cannot wait: ``ready`` is not looked at.
    idle : Out(1)
        The tile's last item has been sent.

    Latency and throughput: a step takes n = max(slots, :data:`LOOP_CYCLES`) cycles; ``free`` comes max(n - 6, 0) cycles
    after its first. An item is valid 7 cycles after its sums were read, ``idle`` 8 cycles after a step's last cycle.
    """

    begin: Signal
    layer: data.View
    tile: Signal
    header_valid: Signal
    header_row: Signal
    header: Signal
    sums: data.View
    full: Signal
    final: Signal
    taken: Signal
    free: Signal
    o_spikes: stream.Interface
    idle: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        self._item = spike_item_layout(config)
        super().__init__(
            {
                "begin": In(1),
                "layer": In(descriptor_layout(Op.LAYER)),
                "tile": In(10),
                "header_valid": In(1),
                "header_row": In(range(config.header_rows)),
                "header": In(config.lanes * config.weight_bits),
                "sums": In(sums_layout(config)),
                "full": In(1),
                "final": In(1),
                "taken": Out(1),
                "free": Out(1),
                "o_spikes": Out(stream.Signature(self._item)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._stages = [Signal(self._stage_layout(), name=f"stage_{n}") for n in range(_ITEM + 1)]
        m.d.sync += [later.eq(earlier) for earlier, later in pairwise(self._stages)]
        self._read_slots(m)
        self._fire(m, self._parameters(m))
        self._send(m)
        return m

    def _stage_layout(self) -> data.StructLayout:
        """What travels with a slot. end, final : last cycle of its step, which may lie behind its last slot."""
        return data.StructLayout(
            {"valid": 1, "slot": range(self._config.fire_share), "fresh": 1, "end": 1, "final": 1}
        )

    def _read_slots(self, m: Module) -> None:
        """Which slot is read when; the sums' hand-over."""
        layer, stage = self.layer, Signal(self._stage_layout(), name="decided")
        phase = Signal(range(max(self._config.fire_share, LOOP_CYCLES) + 1))
        last_phase = Signal.like(phase)
        free_phase = Signal.like(phase)
        last = Signal()
        fresh = Signal()
        left = Signal.like(layer.steps)
        complete = Signal()
        m.d.comb += [
            last.eq(phase == last_phase),
            fresh.eq(left == layer.steps),
            stage.valid.eq(self.full & (phase < layer.slots)),
            stage.slot.eq(phase),
            stage.fresh.eq(fresh),
            stage.end.eq(self.full & last),
            stage.final.eq(self.final),
            self.taken.eq(stage.end),
            self.idle.eq(complete),
        ]
        m.d.sync += [
            self._stages[0].eq(stage),
            last_phase.eq(Mux(layer.slots < LOOP_CYCLES, LOOP_CYCLES, layer.slots) - 1),
            free_phase.eq(Mux(layer.slots < READ_LEAD, 0, layer.slots - READ_LEAD)),
            self.free.eq(self.full & (phase == free_phase)),
        ]
        with m.If(self.full):
            m.d.sync += phase.eq(phase + 1)
            with m.If(last):
                m.d.sync += [phase.eq(0), left.eq(Mux(left == 1, layer.steps, left - 1))]
        with m.If(self.begin):
            m.d.sync += [left.eq(layer.steps), complete.eq(0)]
        with m.Elif(self._stages[_ITEM].end & self._stages[_ITEM].final):
            m.d.sync += complete.eq(1)

    def _parameters(self, m: Module) -> data.View:
        """Bias, threshold and leak of the lanes of a slot, one cycle after it was read.

        A header row has pieces of ``weight_bits`` of F lanes: ``fire_share`` pieces of one slot; the pieces of a slot
        are in ``rows`` rows, and so in as many memories.
        """
        config, stage = self._config, self._stages[0]
        share, width = config.fire_share, len(self.header)
        rows = config.header_rows // share
        parts = Signal(rows * width, reset_less=True)
        for part in range(rows):
            m.submodules[f"header_{part}"] = cells = memory.Memory(shape=width, depth=share, init=[])
            write, read = cells.write_port(), cells.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(self.header_valid & (self.header_row % rows == part)),
                write.addr.eq(self.header_row // rows),
                write.data.eq(self.header),
                read.addr.eq(stage.slot),
            ]
            m.d.sync += parts[part * width : (part + 1) * width].eq(read.data)
        header = lane_header(config)
        lanes = Signal(data.ArrayLayout(header, config.fire_lanes))
        pieces = rows * share
        for lane in range(config.fire_lanes):
            word = Cat(
                parts.word_select(piece * config.fire_lanes + lane, config.weight_bits)
                for piece in range(pieces)
            )
            m.d.comb += Value.cast(lanes[lane]).eq(word[: header.size])
        return lanes

    def _fire(self, m: Module, parameters: data.View) -> None:
        """F lanes: one step of one slot in a pipeline."""
        config, stages = self._config, self._stages
        bits = config.membrane_bits
        m.submodules.membranes = cells = memory.Memory(
            shape=config.fire_lanes * bits, depth=config.fire_share, init=[]
        )
        write, read = cells.write_port(), cells.read_port(domain="comb")
        m.d.comb += [
            read.addr.eq(stages[_MEMBRANE].slot),
            write.addr.eq(stages[_RESULT].slot),
            write.en.eq(stages[_RESULT].valid),
        ]
        self._spikes = Signal(config.fire_lanes)
        for lane in range(config.fire_lanes):
            at = slice(lane * bits, (lane + 1) * bits)
            kept = self._lane(m, lane, parameters[lane], read.data[at].as_signed())
            m.d.comb += write.data[at].eq(kept)

    def _lane(self, m: Module, lane: int, parameters: data.View, stored: Value) -> Value:
        """The membrane to keep, at stage ``_RESULT``; a spike is registered with it."""
        config, layer, stages = self._config, self.layer, self._stages
        bits, share, each = config.membrane_bits, config.fire_share, config.fire_lanes

        def register(value: Value, shape: object, name: str) -> Signal:
            signal = Signal(shape, name=f"{name}_{lane}", reset_less=True)
            m.d.sync += signal.eq(value)
            return signal

        sums = [self.sums[slot * each + lane][0] for slot in range(share)]
        chosen = Signal(signed(config.acc_bits), name=f"chosen_{lane}")
        m.d.comb += chosen.eq(chosen_by(stages[0].slot, sums))
        term = register(chosen, signed(config.acc_bits), "term")
        biased = register(term + parameters.bias, signed(config.sum_bits), "biased")
        shifted = Signal(signed(config.sum_bits), name=f"shifted_{lane}")
        m.d.comb += shifted.eq(biased >> layer.shift)
        current = register(saturate(shifted, bits), signed(bits), "current")

        leak, threshold = parameters.leak, parameters.threshold
        for n in range(2, _MEMBRANE + 1):
            leak = register(leak, config.tau_bits, f"leak{n}")
            threshold = register(threshold, signed(bits), f"threshold{n}")
        membrane = Signal(signed(bits), name=f"membrane_{lane}")
        m.d.comb += membrane.eq(Mux(stages[_MEMBRANE].fresh, layer.v_reset, stored))
        difference = register(current - membrane, signed(bits + 1), "difference")
        before = register(membrane, signed(bits), "before")
        above = register(membrane - threshold, signed(bits + 1), "above")
        factor = register(leak, config.tau_bits, "factor")

        product = register(difference * factor, signed(bits + 1 + config.tau_bits), "product")
        before = register(before, signed(bits), "before5")
        above = register(above, signed(bits + 1), "above5")
        change = product >> config.tau_bits
        updated = register(before + change, signed(bits), "updated")
        over = register(above + change, signed(bits + 2), "over")
        spike = over >= 0
        m.d.sync += self._spikes[lane].eq(spike)
        kept = Signal(signed(bits), name=f"kept_{lane}")
        m.d.comb += kept.eq(Mux(spike, Mux(layer.soft, over, layer.v_reset), updated))
        return kept

    def _send(self, m: Module) -> None:
        """Items with their addresses: ``line = out_base + (place // segments) * out_groups + group``.

        ``place`` counts parts of F entries of the result: position, tile, slot.
        """
        config, layer, stages = self._config, self.layer, self._stages
        segment_bits = exact_log2(config.segments)
        item = self.o_spikes.payload
        first = Signal(len(item.line) + segment_bits)
        of_tile = Signal(len(item.line) + segment_bits)
        group = Signal.like(layer.out_groups)
        position = Signal.like(item.position)
        last_group = Signal()
        began = Signal()
        following = Signal.like(of_tile)
        limit = Signal.like(group)
        m.d.sync += limit.eq(layer.out_groups - 1)
        m.d.comb += [
            last_group.eq(group == limit),
            following.eq(Mux(self.tile == 0, 0, of_tile + layer.slots)),
        ]
        m.d.sync += began.eq(self.begin)
        with m.If(began):
            m.d.sync += [first.eq(following), of_tile.eq(following), group.eq(0), position.eq(0)]
        with m.Elif(stages[0].end):
            m.d.sync += group.eq(group + 1)
            with m.If(last_group):
                m.d.sync += [
                    group.eq(0),
                    position.eq(position + 1),
                    first.eq(first + (layer.out_pitch >> exact_log2(config.fire_lanes))),
                ]
        place = Signal.like(first)
        line = Signal.like(item.line)
        offset = Signal.like(item.line)
        behind = Signal.like(item.line)
        addresses = [Signal(self._address_layout(), name=f"address_{n}") for n in range(1, _ITEM + 1)]
        m.d.sync += [
            place.eq(first + stages[0].slot),
            addresses[0].position.eq(position),
            addresses[0].first_group.eq(group == 0),
            addresses[0].last_group.eq(last_group),
            behind.eq(layer.out_base + group),
            offset.eq((place >> segment_bits) * layer.out_groups),
            line.eq(behind),
            addresses[1].eq(addresses[0]),
            addresses[1].segment.eq(place),
            addresses[2].eq(addresses[1]),
            addresses[2].line.eq(line + offset),
        ]
        m.d.sync += [later.eq(earlier) for earlier, later in pairwise(addresses[2:])]
        sent = addresses[-1]
        m.d.comb += [
            self.o_spikes.valid.eq(stages[_ITEM].valid),
            item.line.eq(sent.line),
            item.segment.eq(sent.segment[:segment_bits]),
            item.slot.eq(stages[_ITEM].slot),
            item.position.eq(sent.position),
            item.tile.eq(self.tile),
            item.first_tile.eq(self.tile == 0),
            item.first_group.eq(sent.first_group),
            item.last_group.eq(sent.last_group),
            Value.cast(item.words).eq(self._spikes),
        ]

    def _address_layout(self) -> data.StructLayout:
        item = self._item
        return data.StructLayout(
            {
                "line": item["line"].shape,
                "segment": item["segment"].shape,
                "position": item["position"].shape,
                "first_group": 1,
                "last_group": 1,
            }
        )
