"""Spike cues: sums over the spike words of a position's channels, collected as they are fired, then divided."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_rtl.cue_divider import CueDivider, cue_division_cycles
from sparta_rtl.layouts import cue_layout, cue_sums_layout, spike_item_layout
from sparta_rtl.memory import BlockRam, ReadPort
from sparta_rtl.pipeline import delay, is_next
from sparta_rtl.popcount import popcount

__all__ = ["CueUnit", "cue_item_cycles", "cue_row_bits", "cue_tail_cycles"]

_SUMS_CYCLES = 3
"""Cycles beyond those of counting from a last group to its sums."""


def _counting_cycles(config: CoreConfig, steps: int, copied: bool) -> int:
    """Cycles in which an item is counted: T, but if it is copied no more than a division takes."""
    return min(steps, cue_division_cycles(config)) if copied else steps


def cue_item_cycles(config: CoreConfig, steps: int, copied: bool = False) -> int:
    """Cycles from one item, of T = ``steps`` or copied, to the next: at least as many as a division takes."""
    return max(_counting_cycles(config, steps, copied), cue_division_cycles(config))


def cue_tail_cycles(config: CoreConfig, steps: int, copied: bool = False) -> int:
    """Cycles from the acceptance of a layer's last item, of T = ``steps`` or copied, until its cues are in memory."""
    return _counting_cycles(config, steps, copied) + _SUMS_CYCLES + cue_division_cycles(config) + 1


def cue_row_bits(config: CoreConfig) -> int:
    """Bits of a row of the cue memory: sums before a layer's last tile, then cues."""
    return max(cue_sums_layout(config).size, cue_layout(config).size)


class CueUnit(wiring.Component):
    """Adds the cues of P channels to the sums of their position, one time step per cycle; divides them after the last.

    In step t, with ``seen`` the lanes that spiked before t, each sum grows by the number of lanes in a mask:

        first: real & ~(seen | w_t)      span: (seen | w_t) & w spikes after t      gaps: w_t & seen
        burst: w_t & w_{t+1}             rate: w_t

    ``real`` leaves out lanes beyond the layer's last channel: they are silent, and would otherwise add T to
    ``first``. What the words of silent positions add is kept, and added at once for each that copies them
    (``fire.py``). Sums of a position start from zero with its first tile, so nothing has to be cleared. With the last
    tile they are complete: what goes to memory then is the cues (:class:`~sparta_rtl.cue_divider.CueDivider`).

    Parameters
    ----------
    config : CoreConfig
        P lanes, S steps an item, sizes of the sums.

    Members
    -------
    i : In(stream.Signature(spike_item_layout(config)))
        Spikes of a layer that collects cues, groups of one (tile, position) in ascending order. Groups before
        the last one are always accepted.
    steps : In(6)
        T.
    cue_base : In(12)
        Row of the memory for position 0.
    outputs, tiles : In(14), In(10)
        The layer's real channels, at most ``max_features``, and its tiles.
    idle : Out(1)
        All cues are in memory, and nothing is offered.
    cues : In(ReadPort(max_tokens * scales, cue_layout(config).size))
        Cues of one position of one scale; only while idle.

    Notes
    -----
    ``steps``, ``cue_base``, ``outputs`` and ``tiles`` are stable until idle. From a last group to the next one that is
    accepted: :func:`cue_item_cycles`. Its sums are in memory T + 3 cycles after it, sooner if it is copied, its cues as
    many later as a division takes. The next item of the same row goes on with the sums before that.
    """

    i: stream.Interface
    steps: Signal
    cue_base: Signal
    outputs: Signal
    tiles: Signal
    idle: Signal
    cues: wiring.PureInterface

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(spike_item_layout(config))),
                "steps": In(6),
                "cue_base": In(12),
                "outputs": In(14),
                "tiles": In(10),
                "idle": Out(1),
                "cues": In(ReadPort(config.max_tokens * config.scales, cue_layout(config).size)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, item = self._config, self.i.payload
        layout = cue_sums_layout(config)
        m.submodules.memory = memory = BlockRam(config.max_tokens * config.scales, cue_row_bits(config))

        load = Signal()
        row = Signal.like(self.cues.addr)
        place = Signal.like(self.cues.addr)
        first_tile = Signal()
        last_tile = Signal()
        kept = Signal()
        copied = Signal()
        same = Signal()
        missing = Signal(signed(16))
        busy, left = self._pace(m, load)
        m.d.comb += [
            self.i.ready.eq(~busy | ~item.last_group),
            load.eq(self.i.valid & ~busy & item.last_group),
            place.eq(self.cue_base + item.position),
        ]
        with m.If(load):
            m.d.sync += [
                row.eq(place),
                first_tile.eq(item.first_tile),
                last_tile.eq(is_next(item.tile, self.tiles)),
                kept.eq(item.kept),
                copied.eq(item.copied),
                same.eq((row == place) & ~item.first_tile),
                missing.eq((item.tile + 1) * config.lanes - self.outputs),
            ]

        # load -> left = T..1: masks of step t -> masked: popcounts -> counting: they are added -> write.
        masks = self._masks(m, load, self._words(m, load), missing)
        started = Signal()
        masked = Signal()
        counting = Signal()
        begins = Signal(2)
        ends = Signal(2)
        write = Signal()
        m.d.sync += [
            started.eq(load),
            masked.eq(left != 0),
            counting.eq(masked),
            begins.eq(Cat(started & ~same, begins)),
            ends.eq(Cat(left == 1, ends)),
            write.eq(ends[1]),
        ]
        counts = Signal(layout)
        m.d.sync += [counts[name].eq(popcount(delay(m, mask, 1))) for name, mask in masks.items()]
        before = data.View(layout, delay(m, memory.read.data[: layout.size], 2))
        clear, keeps, copies = (delay(m, one, 2) for one in (first_tile, kept, copied))
        first = delay(m, started, 2)
        sums = Signal(layout)
        silent = Signal(layout)
        for name in masks:
            with m.If(counting & (first | ~copies)):
                begun = Mux(begins[1], Mux(clear, 0, before[name]), sums[name])
                m.d.sync += sums[name].eq(begun + Mux(copies, silent[name], counts[name]))
            with m.If(counting & keeps):
                m.d.sync += silent[name].eq(Mux(first, 0, silent[name]) + counts[name])

        m.d.comb += [
            memory.read.en.eq(load | self.cues.en),
            memory.read.addr.eq(Mux(load, place, self.cues.addr)),
            self.cues.data.eq(memory.read.data),
        ]
        at_write = (delay(m, signal, _SUMS_CYCLES) for signal in (row, last_tile))
        dividing = self._write(m, memory.write, write, sums, *at_write)
        m.d.comb += self.idle.eq(~Cat(left, masked, counting, write, dividing, self.i.valid).any())
        return m

    def _pace(self, m: Module, load: Signal) -> tuple[Signal, Signal]:
        """Whether the next item has to wait, and how many steps of this one are left to count."""
        config, copied = self._config, self.i.payload.copied
        period = cue_division_cycles(config)
        busy = Signal()
        left = Signal(range(max(config.max_steps, period) + 1))
        wait = Signal.like(left)
        longer = self.steps > period
        with m.If(load):
            m.d.sync += [
                left.eq(Mux(longer & copied, period, self.steps)),
                wait.eq(Mux(longer & ~copied, self.steps, period)),
                busy.eq(1),
            ]
        with m.Else():
            m.d.sync += busy.eq(wait > 2)
            with m.If(wait != 0):
                m.d.sync += wait.eq(wait - 1)
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
        return busy, left

    def _write(
        self,
        m: Module,
        port: wiring.PureInterface,
        write: Signal,
        sums: data.View,
        row: Value,
        complete: Value,
    ) -> Signal:
        """Sums of a position to its row, or when they are complete, its cues: high until these are there."""
        divided = Signal.like(row)
        dividing = Signal()
        m.submodules.divider = divider = CueDivider(self._config)
        with m.If(divider.start):
            m.d.sync += [divided.eq(row), dividing.eq(1)]
        with m.Elif(divider.done):
            m.d.sync += dividing.eq(0)
        m.d.comb += [
            divider.start.eq(write & complete),
            divider.sums.eq(sums),
            divider.channels.eq(self.outputs),
            divider.steps.eq(self.steps),
            port.en.eq(divider.done | (write & ~complete)),
            port.addr.eq(Mux(divider.done, divided, row)),
            port.data.eq(Mux(divider.done, divider.cues.as_value(), sums.as_value())),
        ]
        return dividing

    def _words(self, m: Module, load: Signal) -> list[Signal]:
        """Complete words, one a lane, loaded with the last group and shifted to the next step each cycle."""
        config, item = self._config, self.i.payload
        groups = config.groups(config.max_steps)
        group = Signal(range(groups))
        held = [Signal.like(item.words, name=f"held{g}") for g in range(groups - 1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += group.eq(Mux(item.last_group, 0, group + 1))
            for g, words in enumerate(held):
                with m.If(group == g):
                    m.d.sync += words.eq(item.words)

        shifted = [
            Signal(groups * config.steps, name=f"word{lane}", reset_less=True) for lane in range(config.lanes)
        ]
        for lane, word in enumerate(shifted):
            parts = [
                Mux(group == g, item.words[lane], Mux(group > g, words[lane], 0))
                for g, words in enumerate(held)
            ]
            with m.If(load):
                m.d.sync += word.eq(Cat(parts, Mux(group == groups - 1, item.words[lane], 0)))
            with m.Else():
                m.d.sync += word.eq(word >> 1)
        return shifted

    def _masks(self, m: Module, load: Signal, words: list[Signal], missing: Signal) -> dict[str, Signal]:
        """Lanes that add one to each sum in the current step."""
        lanes = len(words)
        seen = Signal(lanes)
        spikes = Signal(lanes)
        m.d.comb += spikes.eq(Cat(word[0] for word in words))
        m.d.sync += seen.eq(Mux(load, 0, seen | spikes))
        real = Cat(missing < lanes - lane for lane in range(lanes))
        later = Cat(word[1:].any() for word in words)
        following = Cat((word >> 1)[0] for word in words)
        return {
            "first": real & ~(seen | spikes),
            "span": (seen | spikes) & later,
            "gaps": seen & spikes,
            "burst": spikes & following,
            "rate": spikes,
        }
