"""The neuron array: executes a LAYER descriptor, one active entry a cycle in P x S accumulators."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_rtl.accumulator import Accumulators
from sparta_rtl.fire import FireStage
from sparta_rtl.hilif import lane_header
from sparta_rtl.issue import EntryIssue
from sparta_rtl.layouts import descriptor_layout, spike_item_layout, value_item_layout
from sparta_rtl.memory import ReadPort
from sparta_rtl.rows import WindowRows
from sparta_rtl.scanner import LineScanner
from sparta_rtl.shared_fire import SharedFireStage
from sparta_rtl.stream_slice import StreamSlice
from sparta_rtl.tiles import TileSequence, streamed_ports

__all__ = ["NeuronArray"]


class NeuronArray(wiring.Component):
    """Event-driven convolution or projection, then HI-LIF or recombination of bit planes (ARCHITECTURE.md).

    Loop order: tile, position, step group, kernel row, line, active entry. Everything overlaps, tiles too: entries
    of the next one are issued while this one fires (:class:`~sparta_rtl.tiles.TileSequence`)::

        WindowRows -> LineScanner -> EntryIssue -> Accumulators -> FireStage -> o_spikes, o_values
        kernel rows   spike lines    entries       weights         steps

    Members
    -------
    start, done : In(1), Out(1)
        Pulses. ``done`` comes when every result has been accepted.
    layer : In(descriptor_layout(Op.LAYER))
        At least one tile, position and group; each window starts inside the padded input.
    topk : In(range(max_topk + 1))
        Positions, at least 1, of a layer with ``ranked``.
    state : In(signed(state_bits))
        Feedback state; moves the thresholds of cores with attention.
    hold : In(1)
        The next tile does not fire.
    spikes : Out(ReadPort(spike_lines, L * S))
    weights : Out(ReadPort(weight_rows, P * weight_bits))
    o_spikes : Out(stream.Signature(spike_item_layout(config)))
        One item a tile, position and ``out_groups``: spikes, or bit planes with ``Destination.TOKENS``. Where lanes
        share the fire stage, an item for each slot, which cannot wait.
    o_values : Out(stream.Signature(value_item_layout(config)))
        One item a tile and position, of other layers with ``integer``.
    entries : Out(32)
        Active entries accumulated since ``start``, once a tile each.
    ring, waiting, stalls : Out(RingUse(config)), Out(1), Out(32)
        Of a core that streams weights only, as :class:`~sparta_rtl.tiles.TileSequence` has them.

    Latency and throughput without output stalls, in cycles; a tile begins with ``start``, or when the last weights of
    the tile before are read and that one fires; the last tile's end is ``done``. ``sparta_sim.cycles.array`` evaluates
    it line by line::

        row     valid 6 cycles after start, then 1 cycle (+ 1 for each row left out, + 2 at a new position) after its
                predecessor was kept; kept when valid, and at most two are; accepted after that, when its
                predecessor's last line is read
        line    read after its row was accepted, one a cycle, while fewer than 16 are under way
        load    4 cycles after the read of the line that follows in its group or tells that none does, 5 after that of
                the group's last one; or with the last entry of the line before; makes room 2 cycles later. A tile's
                first one when its H header rows have been read, H - 1 cycles after its begin, at the earliest
        drop    of a line without active entries, unless its group has none; room 5 cycles after the read
        entry   one a cycle from the cycle after the load; an empty line takes one cycle as well; the last entry of a
                group waits for ``free``, that of a copied one does not; 16 groups are ahead at most. A tile's last
                weights are read 2 cycles after its last entry was issued
        fires   a tile, when the last result of the tile before is out, and H + 3 cycles after its begin at the earliest
        group   read 5 cycles after its last entry (with n sets of sums n - 1 more), 2 after its tile fires, or
                max(n, 2) cycles after the n steps or planes of the group before, while a buffer is free; ``free`` for
                one more 1 + max(n - 6, 0) cycles after that
        step    6 cycles after its group was read (with ``direct`` after the position's last plane), then one every
                2 cycles; the first group of a position beside another one, in the cycles between, but 3 cycles after
                the first step of the last group before; others when all steps before are taken; its buffer is free
                again 2 cycles after step max(0, (S - 7) // 2), with ``direct`` after the position's last step
        copy    (T <= S) a silent position after the tile's first one is read in one cycle and takes one step,
                3 cycles after the last step before
        end     7 cycles after the tile's last step (with integer results 6 after its last plane, and out_groups - 1
                more as bit planes)

    With streamed weights, a first tile begins one cycle after ``start``, and each one when its rows have been there
    for a cycle. A position costs the largest of: active entries (at least 1 a group), lines, 6 cycles a group, and
    its steps (one more where T is even, for the other parity) or planes; where T > S, 3 more than its steps, and
    with more than two groups only the last one overlaps. A copied one costs its lines, or 5 cycles.

    Where lanes share the fire stage (:class:`~sparta_rtl.shared_fire.SharedFireStage`) a step takes max(slots, 4)
    cycles there, as so many planes would, a tile ends 7 cycles after them, and the next one begins then.
    """

    start: Signal
    done: Signal
    layer: data.View
    topk: Signal
    state: Signal
    hold: Signal
    spikes: wiring.PureInterface
    weights: wiring.PureInterface
    o_spikes: stream.Interface
    o_values: stream.Interface
    entries: Signal
    ring: wiring.PureInterface
    waiting: Signal
    stalls: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "layer": In(descriptor_layout(Op.LAYER)),
                "topk": In(range(config.max_topk + 1)),
                "state": In(signed(config.state_bits)),
                "hold": In(1),
                "spikes": Out(ReadPort(config.spike_lines, config.line * config.steps)),
                "weights": Out(ReadPort(config.weight_rows, config.lanes * config.weight_bits)),
                "o_spikes": Out(stream.Signature(spike_item_layout(config))),
                "o_values": Out(stream.Signature(value_item_layout(config))),
                "entries": Out(32),
                **streamed_ports(config),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.rows = rows = WindowRows(config)
        m.submodules.scanner = scanner = LineScanner(config)
        m.submodules.issue = issue = EntryIssue(config)
        m.submodules.accumulators = accumulators = Accumulators(config)
        fire = FireStage(config) if config.fire_share == 1 else SharedFireStage(config)
        m.submodules.fire = fire

        m.submodules.tiles = tiles = TileSequence(config)
        m.d.comb += [
            tiles.start.eq(self.start),
            self.done.eq(tiles.done),
            tiles.layer.eq(self.layer),
            tiles.hold.eq(self.hold),
            tiles.issued.eq(issue.valid & issue.entry.final),
            tiles.idle.eq(fire.idle),
            rows.start.eq(self.start),
            rows.layer.eq(self.layer),
            rows.topk.eq(self.topk),
            rows.first_weight.eq(tiles.first_weight),
            scanner.layer.eq(self.layer),
            fire.begin.eq(tiles.fires),
            fire.layer.eq(self.layer),
            fire.tile.eq(tiles.tile),
        ]
        if config.stream_bits:
            connect(m, tiles.ring, flipped(self.ring))
            m.d.comb += [self.waiting.eq(tiles.waiting), self.stalls.eq(tiles.stalls)]
        self._header(m, fire, tiles)
        connect(m, scanner.spikes, flipped(self.spikes))
        m.submodules.row_slice = row_slice = StreamSlice(rows.o.payload.shape())
        connect(m, rows.o, row_slice.i)
        connect(m, row_slice.o, scanner.i)
        connect(m, scanner.o, issue.i)
        connect(m, fire.o_spikes, flipped(self.o_spikes))
        if isinstance(fire, FireStage):
            connect(m, fire.o_values, flipped(self.o_values))
            m.d.comb += [fire.kept.eq(accumulators.kept), fire.copied.eq(accumulators.copied)]

        m.d.comb += [
            self.weights.en.eq(tiles.read | issue.entry.read),
            self.weights.addr.eq(Mux(tiles.read, tiles.row, issue.entry.weight)),
            issue.opens.eq(tiles.opens),
            issue.layer.eq(self.layer),
            issue.free.eq(fire.free),
            issue.taken.eq(fire.taken),
            accumulators.valid.eq(issue.valid),
            accumulators.entry.eq(issue.entry),
            accumulators.weights.eq(self.weights.data),
            accumulators.taken.eq(fire.taken),
            fire.sums.eq(accumulators.sums),
            fire.full.eq(accumulators.full),
            fire.final.eq(accumulators.final),
        ]
        with m.If(self.start):
            m.d.sync += self.entries.eq(0)
        with m.Elif(issue.valid & issue.entry.read):
            m.d.sync += self.entries.eq(self.entries + 1)
        return m

    def _header(self, m: Module, fire: FireStage | SharedFireStage, tiles: TileSequence) -> None:
        """Header rows, as they come from the weight memory, to where the fire stage finds its parameters."""
        fetched = Signal()
        m.d.sync += fetched.eq(tiles.read)
        if isinstance(fire, FireStage):
            self._keep_header(m, fire, fetched, tiles.fires)
            return
        arrived = Signal.like(fire.header_row)
        m.d.sync += arrived.eq(Mux(tiles.fires, 0, arrived + fetched))
        m.d.comb += [
            fire.header_valid.eq(fetched),
            fire.header_row.eq(arrived),
            fire.header.eq(self.weights.data),
        ]

    def _keep_header(self, m: Module, fire: FireStage, fetched: Signal, fires: Signal) -> None:
        """Parameters of each lane: those of the next tile are shifted in while those of this one are in use."""
        config = self._config
        arriving = Signal(data.ArrayLayout(lane_header(config), config.lanes), reset_less=True)
        header = Signal.like(arriving, reset_less=True)
        with m.If(fires):
            m.d.sync += header.eq(arriving)
        with m.If(fetched):
            for lane in range(config.lanes):
                byte = self.weights.data.word_select(lane, config.weight_bits)
                kept = Value.cast(arriving[lane])[config.weight_bits :]
                m.d.sync += Value.cast(arriving[lane]).eq(Cat(kept, byte))
        m.d.comb += fire.header.eq(header.as_value())
        if config.attention:
            self._move_thresholds(m, header, fire)

    def _move_thresholds(self, m: Module, header: data.View, fire: FireStage) -> None:
        """``theta = clamp(theta_c + o, 1, 32767)``, o = clamp(((state >> 8) * gain) >> 8, -limit, limit)."""
        config, layer = self._config, self.layer
        error = Signal(signed(config.state_bits - config.state_frac))
        gain = Signal.like(layer.feedback_gain)
        product = Signal(signed(len(error) + 9), reset_less=True)
        limit = Signal(signed(len(layer.feedback_limit) + 1))
        offset = Signal(signed(len(layer.feedback_limit) + 1))
        scaled = product >> 8
        m.d.comb += limit.eq(layer.feedback_limit)
        m.d.sync += [
            error.eq(self.state >> config.state_frac),
            gain.eq(layer.feedback_gain),
            product.eq(error * gain),
            offset.eq(Mux(scaled > limit, limit, Mux(scaled < -limit, -limit, scaled))),
        ]
        largest = (1 << config.membrane_bits - 1) - 1
        for lane in range(config.lanes):
            moved = Signal(signed(config.membrane_bits + 1), name=f"moved{lane}", reset_less=True)
            theta = Signal(signed(config.membrane_bits), name=f"theta{lane}", reset_less=True)
            m.d.sync += moved.eq(header[lane].threshold + offset)
            m.d.sync += theta.eq(Mux(moved < 1, 1, Mux(moved > largest, largest, moved)))
            m.d.comb += fire.header[lane].threshold.eq(theta)
