"""Faults for the RTL's sources: what a tired designer might write."""

from dataclasses import dataclass

__all__ = ["FAULTS", "Fault"]


@dataclass(frozen=True)
class Fault:
    """One place of a source changed.

    Parameters
    ----------
    what : str
        Kind of fault, and its effect.
    file : str
        In ``rtl/sparta_rtl``.
    old, new : str
        Text that occurs once in the file, and what takes its place.
    """

    what: str
    file: str
    old: str
    new: str


FAULTS = (
    Fault(
        "off by one: spikes only above the threshold",
        "hilif.py",
        "self.spike.eq(over >= 0)",
        "self.spike.eq(over > 0)",
    ),
    Fault(
        "wrong reset: a soft reset goes to v_reset",
        "hilif.py",
        "Mux(mode.soft, over, mode.v_reset)",
        "mode.v_reset",
    ),
    Fault(
        "wrong rounding: the leak rounds up",
        "hilif.py",
        "(Cat(fraction, filled).as_signed() - leaked)",
        "(Cat(fraction, filled).as_signed() - leaked + 255)",
    ),
    Fault("dropped carry: two's complement without + 1", "hilif.py", " + strobes.negate", ""),
    Fault(
        "lost hazard: the fraction is that of the other neuron's current",
        "hilif.py",
        "Cat(fraction, filled)",
        "Cat(charged[: config.tau_bits], filled)",
    ),
    Fault(
        "no saturation: the current wraps",
        "hilif.py",
        "result.eq(saturate(shifted, config.membrane_bits))",
        "result.eq(shifted)",
    ),
    Fault(
        "missing reset: sums of a tile go on in the next",
        "accumulator.py",
        "m.d.sync += total.eq(0)",
        "m.d.sync += total.eq(total)",
    ),
    Fault(
        "lost entry: the first spike of a group is not added",
        "accumulator.py",
        "m.d.sync += total.eq(0)",
        "m.d.sync += total.eq(-addend)",
    ),
    Fault(
        "off by one: a row's last line is skipped",
        "scanner.py",
        "last.eq(row.lines == 1)",
        "last.eq(row.lines <= 2)",
    ),
    Fault("wrong edge: the window's first entry is left out", "scanner.py", "(n >= lowest)", "(n > lowest)"),
    Fault(
        "overflow: the queue takes one line too many",
        "scanner.py",
        "read.eq(busy & has_room)",
        "read.eq(busy)",
    ),
    Fault(
        "off by one: the weight of the neighbour",
        "issue.py",
        "picked.weight + place",
        "picked.weight + place + 1",
    ),
    Fault(
        "wrong padding: rows above the image count",
        "rows.py",
        "(input_row >= 0) & (input_row < layer.in_height)",
        "(input_row < layer.in_height)",
    ),
    Fault("off by one: a position too few in each row", "rows.py", "is_next(x, Mux", "is_next(x + 1, Mux"),
    Fault(
        "off by one: a time step too few",
        "fire.py",
        "last.eq((step == steps - 1) | position_end)",
        "last.eq((step == steps - 2) | position_end)",
    ),
    Fault(
        "stale state: the membrane of the neighbour before",
        "fire.py",
        "strobes.fresh.eq(taken.valid & taken.fresh)",
        "strobes.fresh.eq(0)",
    ),
    Fault(
        "mixed up: two positions' spikes in one word",
        "fire.py",
        "~begins & before[n][step]",
        "~begins & self._words[n][step]",
    ),
    Fault(
        "overflow: a buffer too many is claimed",
        "fire.py",
        "claimed_next != BUFFERS",
        "claimed_next != BUFFERS + 1",
    ),
    Fault(
        "lost hazard: a buffer is claimed before its last current is taken",
        "steps.py",
        "max(0, (steps - 7) // 2)",
        "0",
    ),
    Fault(
        "lost hazard: a position's next group does not wait for the last one",
        "steps.py",
        "~taking[0])",
        "1)",
    ),
    Fault(
        "lost hazard: positions follow one another before addresses settle",
        "steps.py",
        "~settles.any() & ~(",
        "~(",
    ),
    Fault(
        "wrong sign: the sign plane is added",
        "fire.py",
        "strobes.negate.eq(layer.integer & layer.signed & stages[0].fresh)",
        "strobes.negate.eq(0)",
    ),
    Fault(
        "wrong tie-break: equal keys rank the later token first",
        "topk_sorter.py",
        "< Cat(token.key, 1)",
        "<= Cat(token.key, 1)",
    ),
    Fault("wrong order: keys compare unsigned", "topk.py", "Cat(key[:-1], ~key[-1])", "Cat(key)"),
    Fault(
        "missing reset: tokens of the ranking before stay", "topk_sorter.py", "full.eq(0)", "full.eq(full)"
    ),
    Fault(
        "off by one: K is one too large", "topk_sorter.py", "left.eq(self.count)]", "left.eq(self.count + 1)]"
    ),
    Fault(
        "off by one: a key that K keys reach is too large",
        "topk_radix.py",
        "without[digit - 1] < 0",
        "without[digit - 1] <= 0",
    ),
    Fault(
        "lost hazard: the count of the key before is not seen",
        "digit_tree.py",
        "Mux(like_next, more.as_value(), ",
        "Mux(0, more.as_value(), ",
    ),
    Fault(
        "lost hazard: the count of the key before that one is not seen",
        "digit_tree.py",
        "Mux(like_second, left.as_value(), rows.read.data)",
        "rows.read.data",
    ),
    Fault(
        "missing reset: counts of the ranking before stay", "digit_tree.py", "Mux(self.new & asked, 0, ", "("
    ),
    Fault("wrong tie-break: a tie too few", "topk_rows.py", "(ties >= before)", "(ties > before)"),
    Fault(
        "off by one: the listing begins a row too early",
        "topk_rows.py",
        "first_row.eq((came - self.count) // LANES)",
        "first_row.eq(Mux(came - self.count < LANES, 0, (came - self.count) // LANES - 1))",
    ),
    Fault(
        "missing reset: chosen tokens stay chosen",
        "rank.py",
        "self.selected.eq(0)",
        "self.selected.eq(self.selected)",
    ),
    Fault(
        "missing reset: silent positions have the spikes of the tile before",
        "issue.py",
        "known.eq(0)",
        "known.eq(known)",
    ),
    Fault(
        "wrong position: of several step groups, a silent one is taken for a silent position",
        "issue.py",
        "(self.layer.groups == 1) & ~self.layer.integer",
        "~self.layer.integer",
    ),
    Fault(
        "lost credit: a copied position takes that of sums",
        "issue.py",
        "ends & ~copied",
        "ends",
    ),
    Fault(
        "overflow: more groups end than there are places",
        "issue.py",
        "places - ends + taken",
        "places + taken",
    ),
    Fault(
        "wrong hand-over: a copied position overwrites sums that wait",
        "accumulator.py",
        "ends & ~fetched.copied",
        "ends",
    ),
    Fault(
        "lost hazard: a group is read right after a copied one",
        "fire.py",
        "rests.eq(over_next | (stage.valid & first & last))",
        "rests.eq(over_next)",
    ),
    Fault(
        "wrong share: the cues of a copied position are of its own words",
        "cues.py",
        "Mux(copies, silent[name], counts[name])",
        "counts[name]",
    ),
    Fault(
        "missing reset: what silent words add to the cues grows from tile to tile",
        "cues.py",
        "Mux(first, 0, silent[name])",
        "silent[name]",
    ),
    Fault(
        "wrong order: a copied position overtakes the one before",
        "steps.py",
        "ahead.copied & taking.any()",
        "0",
    ),
    Fault("lost bit: the quotient's first bit", "divider.py", "left.eq(cycles)", "left.eq(cycles - 1)"),
    Fault(
        "off by one: a difference of zero does not fit",
        "divider.py",
        "reduced >= 0",
        "reduced > 0",
    ),
    Fault(
        "off by one: the step of the first spike counts as silent",
        "cues.py",
        '"first": real & ~(seen | spikes)',
        '"first": real & ~seen',
    ),
    Fault(
        "missing reset: cues of a token's tiles before stay",
        "cues.py",
        "Mux(clear, 0, before[name])",
        "before[name]",
    ),
    Fault(
        "lost hazard: a token's sums of the tile before are not in memory yet",
        "cues.py",
        "(row == place) & ~item.first_tile",
        "0",
    ),
    Fault(
        "wrong case: an interval without gaps is 0",
        "cue_divider.py",
        "self.steps << config.cue_frac",
        "0",
    ),
    Fault(
        "lost hazard: the next item comes while cues are divided",
        "cues.py",
        "Mux(longer & ~copied, self.steps, period)",
        "self.steps",
    ),
    Fault(
        "wrong tile: sums are divided after the first one",
        "cues.py",
        "last_tile.eq(is_next(item.tile, self.tiles))",
        "last_tile.eq(item.first_tile)",
    ),
    Fault(
        "wrong edge: the last column has a right neighbour",
        "score.py",
        'issue.right.eq(column == last["width"])',
        "issue.right.eq(0)",
    ),
    Fault(
        "wrong scale: only the last scale is scored",
        "score.py",
        "Mux(added.first_scale, 0, score) + partial",
        "partial",
    ),
    Fault(
        "no saturation: gated values exceed their limit",
        "gate.py",
        "Mux(shifted > layer.limit, layer.limit, shifted)",
        "shifted",
    ),
    Fault(
        "swapped: selected tokens get the gain of the others",
        "gain.py",
        "layer.gain_selected, layer.gain_other",
        "layer.gain_other, layer.gain_selected",
    ),
    Fault(
        "off by one: the gather forgets a line",
        "gather.py",
        "last_line.eq(layer.lines - 1)",
        "last_line.eq(layer.lines - 2)",
    ),
    Fault(
        "missing reset: a head's dot product goes on",
        "similarity.py",
        "Mux(summed.first_chunk, 0, dot) + partial",
        "dot + partial",
    ),
    Fault(
        "missing reset: the maximum of the row before",
        "similarity.py",
        "(stored.column == 0) | (z > best)",
        "z > best",
    ),
    Fault(
        "dropped carry: the low product does not reach the high one",
        "normalise.py",
        "high + (low >> _LOW_BITS)",
        "high",
    ),
    Fault(
        "no saturation: weights of one wrap",
        "normalise.py",
        "saturate(quotient, config.weight_bits)",
        "quotient",
    ),
    Fault(
        "wrong limit: the softmax shifts by 7 at most",
        "softmax.py",
        "Mux(whole >= 15, 15, whole)",
        "Mux(whole >= 7, 7, whole)",
    ),
    Fault(
        "lost hazard: a sum is read before it is written",
        "pool.py",
        "self.i.ready.eq(~hazard & ~reading)",
        "self.i.ready.eq(~reading)",
    ),
    Fault(
        "wrong sign: negative activity counts against",
        "feedback.py",
        "Mux(value < 0, -value, value)",
        "value",
    ),
    Fault(
        "missing reset: the feedback's state",
        "feedback.py",
        "with m.If(self.reset):",
        "with m.If(self.reset & 0):",
    ),
    Fault("lost item under backpressure", "stream_slice.py", "full | self.i.valid", "self.i.valid"),
    Fault(
        "off by one: with shared lanes, spikes only above the threshold",
        "shared_fire.py",
        "spike = over >= 0",
        "spike = over > 0",
    ),
    Fault(
        "missing reset: with shared lanes, a position's membranes go on in the next",
        "shared_fire.py",
        "Mux(stages[_MEMBRANE].fresh, layer.v_reset, stored)",
        "stored",
    ),
    Fault(
        "no saturation: with shared lanes, the current wraps",
        "shared_fire.py",
        'register(saturate(shifted, bits), signed(bits), "current")',
        'register(shifted, signed(bits), "current")',
    ),
    Fault(
        "lost hazard: a membrane is read before it is written",
        "shared_fire.py",
        "Mux(layer.slots < LOOP_CYCLES, LOOP_CYCLES, layer.slots) - 1",
        "layer.slots - 1",
    ),
    Fault(
        "wrong address: the slots of a tile begin where those of the tile before do",
        "shared_fire.py",
        "Mux(self.tile == 0, 0, of_tile + layer.slots)",
        "Mux(self.tile == 0, 0, of_tile)",
    ),
    Fault(
        "missing reset: counts go on from the layer before",
        "counts.py",
        "Mux(self.i.first_group, 0, read.data[n])",
        "read.data[n]",
    ),
    Fault(
        "off by one: the count before the last one is marked",
        "counts.py",
        "last.eq(left == 2)",
        "last.eq(left == 3)",
    ),
    Fault(
        "lost item under backpressure: a count leaves without being taken",
        "counts.py",
        "with m.If(self.o.valid & self.o.ready):",
        "with m.If(self.o.valid):",
    ),
    Fault(
        "off by one: the last logit is lost",
        "results.py",
        "last.eq(output == last_output)",
        "last.eq(output + 1 == last_output)",
    ),
    Fault(
        "missing reset: counters of the descriptor before",
        "sequencer.py",
        "elapsed.eq(-1)",
        "elapsed.eq(elapsed + 1)",
    ),
    Fault(
        "underrun: a tile begins before its weights are there",
        "tiles.py",
        "there.eq(ring.filled >= ",
        "there.eq(1 | ",
    ),
    Fault(
        "lost hazard: header rows arrive over those that wait for the fire stage",
        "tiles.py",
        "free = ~begun if",
        "free = begun | ~begun if",
    ),
    Fault(
        "lost hazard: a tile fires while the tile before does",
        "tiles.py",
        "begun & arrived & self.idle",
        "begun & arrived",
    ),
    Fault(
        "wrong order: a tile counts while the counts before are sent",
        "tiles.py",
        "self.idle & ~self.hold)",
        "self.idle)",
    ),
    Fault(
        "missing reset: the next layer's tiles go on counting",
        "tiles.py",
        "following.eq(0)",
        "following.eq(following)",
    ),
    Fault(
        "lost hazard: entries are issued while header rows are read",
        "issue.py",
        "busy.eq(0), opened.eq(0)",
        "busy.eq(0), opened.eq(1)",
    ),
    Fault(
        "lost hazard: sums of the next tile are read with the parameters of this one",
        "fire.py",
        "(over | (self.taken & self.final))",
        "over",
    ),
    Fault(
        "stale data: all tiles have the weights of the first one",
        "rows.py",
        "first + layer.weight_pitch",
        "first",
    ),
    Fault(
        "missing reset: a tile begins in the row after the last one",
        "rows.py",
        "y.eq(0), top",
        "y.eq(y), top",
    ),
    Fault(
        "lost end: a group whose last line is empty goes on", "scanner.py", "held.end | closes)", "held.end)"
    ),
    Fault(
        "lost sums: a set moves up over one that waits",
        "accumulator.py",
        "with m.If(room & comes)",
        "with m.If(comes)",
    ),
    Fault(
        "lost sums: a set that leaves is read once more",
        "accumulator.py",
        "room: Value = leaves",
        "room: Value = ends & ~ends",
    ),
    Fault(
        "overflow: a burst is asked for without room in the ring",
        "weight_stream.py",
        "(room >= burst)",
        "(room != 0)",
    ),
    Fault(
        "stale data: beats of before a restart are kept",
        "weight_stream.py",
        "good.eq(axi.rvalid & ~self._restarting",
        "good.eq(axi.rvalid",
    ),
    Fault(
        "broken protocol: a restart withdraws an offered address",
        "weight_stream.py",
        "with m.If(axi.arready):",
        "with m.If(axi.arready | self.control.restart):",
    ),
    Fault(
        "silent error: a bad response counts as weights",
        "weight_stream.py",
        "~self.control.failed & (axi.rresp == 0)",
        "~self.control.failed",
    ),
)
