"""Spike cues: five sums per token over the spike words of its channels, collected as they are fired."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.layouts import spike_item_layout
from sparta_rtl.memory import BlockRam, ReadPort
from sparta_rtl.pipeline import delay
from sparta_rtl.popcount import popcount

__all__ = ["CUE_CYCLES", "CUE_TAIL_CYCLES", "CueUnit", "cue_sums_layout"]

CUE_CYCLES = 4
"""Cycles from one item to the next, where T is less."""

CUE_TAIL_CYCLES = 4
"""Cycles beyond T from the end of a layer until its cues are in memory."""


def cue_sums_layout(config: CoreConfig) -> data.StructLayout:
    """Sums over the channel words w of one token, 0 to max_features x max_steps (ARCHITECTURE.md, "Cues").

    first : F = sum first(w), T for a silent w;  span : A = sum last(w) - first(w);
    gaps : G = sum max(popcount(w) - 1, 0);  burst : U = sum popcount(w & w >> 1);
    rate : R = sum popcount(w).
    """
    bits = unsigned_bits(config.max_features * config.max_steps)
    return data.StructLayout({name: unsigned(bits) for name in ("first", "span", "gaps", "burst", "rate")})


class CueUnit(wiring.Component):
    """Adds the cues of P channels to the sums of their token, one time step per cycle.

    In step t, with ``seen`` the lanes that spiked before t, each sum grows by the number of lanes in a mask:

        first: real & ~(seen | w_t)      span: (seen | w_t) & w spikes after t      gaps: w_t & seen
        burst: w_t & w_{t+1}             rate: w_t

    ``real`` leaves out lanes beyond the layer's last channel: they are silent, and would otherwise add T to
    ``first``. Sums of a token start from zero with its first tile, so nothing has to be cleared.

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
    outputs : In(14)
        The layer's real channels, at most ``max_features``.
    idle : Out(1)
        All sums are in memory, and nothing is offered.
    sums : In(ReadPort(max_tokens * scales, cue_sums_layout(config).size))
        Sums of one position of one scale; only while idle.

    Notes
    -----
    T cycles, :data:`CUE_CYCLES` at least, from a last group to the next one that is accepted; its sums are in memory
    T + 3 cycles after it. The next one of the same row goes on with them before that.
    """

    i: stream.Interface
    steps: Signal
    cue_base: Signal
    outputs: Signal
    idle: Signal
    sums: wiring.PureInterface

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(spike_item_layout(config))),
                "steps": In(6),
                "cue_base": In(12),
                "outputs": In(14),
                "idle": Out(1),
                "sums": In(ReadPort(config.max_tokens * config.scales, cue_sums_layout(config).size)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, item = self._config, self.i.payload
        layout = cue_sums_layout(config)
        m.submodules.memory = memory = BlockRam(config.max_tokens * config.scales, layout.size)

        busy = Signal()
        load = Signal()
        write = Signal()
        m.d.comb += [
            self.i.ready.eq(~busy | ~item.last_group),
            load.eq(self.i.valid & ~busy & item.last_group),
        ]

        row = Signal.like(self.sums.addr)
        place = Signal.like(self.sums.addr)
        first_tile = Signal()
        same = Signal()
        m.d.comb += place.eq(self.cue_base + item.position)
        missing = Signal(signed(16))
        with m.If(load):
            m.d.sync += [
                row.eq(place),
                first_tile.eq(item.first_tile),
                same.eq((row == place) & ~item.first_tile),
                missing.eq((item.tile + 1) * config.lanes - self.outputs),
            ]

        words = self._words(m, load)
        masks = self._masks(m, load, words, missing)

        # load -> left = T..1: masks of step t -> masked: popcounts -> counting: they are added -> write.
        left = Signal(range(config.max_steps + 1))
        started = Signal()
        masked = Signal()
        counting = Signal()
        counts = Signal(layout)
        sums = Signal(layout)
        before = data.View(layout, delay(m, memory.read.data, 2))
        young = Signal()
        begins = Signal(2)
        ends = Signal(2)
        clear = delay(m, first_tile, 2)
        m.d.sync += [
            started.eq(load),
            young.eq(started),
            begins.eq(Cat(started & ~same, begins)),
            masked.eq(left != 0),
            counting.eq(masked),
            ends.eq(Cat(left == 1, ends)),
            write.eq(ends[1]),
        ]
        m.d.sync += [counts[name].eq(popcount(delay(m, mask, 1))) for name, mask in masks.items()]
        with m.If(load):
            m.d.sync += [left.eq(self.steps), busy.eq(1)]
        with m.Else():
            m.d.sync += busy.eq((left > 2) | started | young)
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
        for name in masks:
            with m.If(counting):
                begun = Mux(begins[1], Mux(clear, 0, before[name]), sums[name])
                m.d.sync += sums[name].eq(begun + counts[name])

        m.d.comb += [
            memory.read.en.eq(load | self.sums.en),
            memory.read.addr.eq(Mux(load, place, self.sums.addr)),
            self.sums.data.eq(memory.read.data),
            memory.write.en.eq(write),
            memory.write.addr.eq(delay(m, row, 3)),
            memory.write.data.eq(sums),
            self.idle.eq(~Cat(left, masked, counting, write, self.i.valid).any()),
        ]
        return m

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
