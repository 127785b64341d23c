"""What the core does for one sample, counted from the sample's tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import DESCRIPTOR_WORDS, USED_WORDS, Destination, Op, decode
from sparta_hw.numerics import EXP_TABLE, unsigned_bits
from sparta_hw.program import Program
from sparta_sim.cycles.firing import copies_silent
from sparta_sim.cycles.model import layer_words
from sparta_sim.energy.figures import access_pj, adder_pj, dram_pj, multiplier_pj
from sparta_sim.energy.firing import fire_events
from sparta_sim.energy.parts import Events as _Events
from sparta_sim.energy.parts import Part
from sparta_sim.energy.selection import cue_events, rank_events, score_events
from sparta_sim.tensor_map import layer_inputs
from sparta_sim.windows import lines_read, positions, silent_positions, window_rows

__all__ = ["Activity", "Block", "LayerWork", "Part", "count_activity", "layer_work"]

Fields = Mapping[str, int]


class Block(Enum):
    """Which part of the network it is spent for."""

    STEM = "stem"
    ATTENTION = "attention block"
    HEAD = "head"


@dataclass(frozen=True)
class Activity:
    """One kind of event of one descriptor: how often, and what each costs."""

    descriptor: int
    block: Block
    part: Part
    what: str
    count: int
    pj_each: float

    @property
    def pj(self) -> float:
        """Modelled energy in pJ."""
        return self.count * self.pj_each


@dataclass(frozen=True)
class LayerWork:
    """What a LAYER descriptor reads of its input, for one tile.

    Parameters
    ----------
    positions : int
        Output positions.
    spike_bits : int
        Set bits (spikes, or ones in bit planes) over all windows: additions of each lane.
    entries : int
        Active entries over all windows and groups: weight rows read.
    lines : int
        Spike lines read.
    silent : int
        Positions without an active entry.
    """

    positions: int
    spike_bits: int
    entries: int
    lines: int
    silent: int


def layer_work(config: CoreConfig, fields: Fields, words: NDArray[np.int64], k: int) -> LayerWork:
    """Work of one tile of a layer.

    Parameters
    ----------
    config : CoreConfig
        The core.
    fields : mapping
        Descriptor fields.
    words : int array (entries,)
        See :func:`~sparta_sim.cycles.model.layer_words`.
    k : int
        Tokens that attend.
    """
    low, high = window_rows(fields, k)
    ones = np.bitwise_count(words).astype(np.int64)
    groups = words[:, None] >> config.steps * np.arange(fields["groups"]) & (1 << config.steps) - 1
    active = (groups != 0).sum(axis=1)

    def over_windows(counts: NDArray[np.int64]) -> int:
        before = np.concatenate([[0], np.cumsum(counts)])
        return int((before[high] - before[low]).sum())

    height, width = positions(fields, k)
    return LayerWork(
        positions=height * width,
        spike_bits=over_windows(ones),
        entries=over_windows(active),
        lines=lines_read(config, fields, k),
        silent=silent_positions(fields, active, k),
    )


def count_activity(program: Program, tensors: Mapping[str, NDArray], k: int) -> list[Activity]:
    """All counted events of one inference.

    Idle lanes, clocks, control logic, leakage and the host's traffic are not counted.

    Parameters
    ----------
    program : Program
        The network on its core.
    tensors : mapping of str to int array
        Integers of one sample by name, the input spikes (T, C, H, W) among them.
    k : int
        Tokens that attend.
    """
    config = program.config
    inputs = layer_inputs(program)
    found: list[Activity] = []
    for at, word in enumerate(program.descriptors):
        fields = decode(word)
        match fields["op"]:
            case Op.LAYER:
                words = layer_words(inputs[at], tensors, config)
                events = _layer(config, fields, layer_work(config, fields, words, k))
            case Op.SCORE:
                events = score_events(config, fields)
            case Op.RANK:
                events = rank_events(config, fields, k)
            case Op.GATE:
                events = _gate(config, fields)
            case Op.GATHER:
                events = _gather(config, fields, k)
            case Op.ATTEND:
                events = _attend(config, fields, k)
            case Op.POOL:
                events = _pool(config, fields)
            case _:
                events = iter(())
        fetch = access_pj(32, config.layers * DESCRIPTOR_WORDS * 32)
        for part, what, count, pj in (*events, (Part.MEMORIES, "descriptor words", USED_WORDS, fetch)):
            block = Block.ATTENTION if part is Part.SELECTION else _block(fields)
            found.append(Activity(at, block, part, what, int(count), pj))
    return found


def _block(fields: Fields) -> Block:
    match fields["op"], fields.get("destination"):
        case Op.LAYER, Destination.SPIKES:
            return Block.STEM
        case (Op.LAYER, Destination.LOGITS | Destination.COUNTS) | (Op.POOL | Op.FEEDBACK | Op.END, _):
            return Block.HEAD
    return Block.ATTENTION


def _line_pj(config: CoreConfig, lanes: int) -> float:
    """One access to ``lanes`` entries of the spike memory."""
    return access_pj(lanes * config.steps, config.spike_lines * config.line * config.steps)


def _layer(config: CoreConfig, fields: Fields, work: LayerWork) -> _Events:
    tiles, lanes = fields["tiles"], config.lanes
    spikes = work.positions * fields["outputs"] * fields["out_steps"]
    row_bits = lanes * config.weight_bits
    rows = work.entries + config.header_rows
    yield Part.ARRAY, "accumulations", work.spike_bits * tiles * lanes, adder_pj(config.acc_bits)
    yield Part.MEMORIES, "spike lines read", work.lines * tiles, _line_pj(config, config.line)
    yield Part.MEMORIES, "weight rows read", rows * tiles, access_pj(row_bits, config.weight_rows * row_bits)
    if config.stream_bits:
        streamed = tiles * fields["weight_pitch"]
        yield (
            Part.MEMORIES,
            "weight rows written",
            streamed,
            access_pj(row_bits, config.weight_rows * row_bits),
        )
        yield Part.EXTERNAL, "weight rows streamed", streamed, dram_pj(row_bits)
    copied = max(work.silent - 1, 0) if copies_silent(config, fields) else 0
    yield from fire_events(config, fields, work.positions - copied, copied)
    if fields["destination"] in (Destination.SPIKES, Destination.TOKENS, Destination.COUNTS):
        segments = work.positions * tiles * fields["slots"] * fields["out_groups"]
        yield Part.MEMORIES, "spike segments written", segments, _line_pj(config, config.fire_lanes)
        if fields["destination"] == Destination.COUNTS:
            yield (
                Part.FIRE,
                "spike count additions",
                spikes,
                adder_pj(unsigned_bits(config.max_steps)),
            )
    elif fields["destination"] != Destination.LOGITS:
        yield Part.MEMORIES, "Q, K, V rows written", work.positions * tiles, _token_row_pj(config)
    if fields["cues"]:
        fired = (work.positions - copied) * fields["outputs"] * fields["out_steps"]
        yield from cue_events(config, fired, work.positions, tiles)


def _token_row_pj(config: CoreConfig) -> float:
    """One row of query, key or value."""
    rows = config.max_topk * -(-config.max_features // config.lanes)
    bits = config.lanes * config.token_bits
    return access_pj(bits, rows * bits)


def _pool_pj(config: CoreConfig) -> float:
    rows = -(-config.max_features // config.line) * config.line
    return access_pj(config.pool_bits, rows * config.pool_bits)


def _gate(config: CoreConfig, fields: Fields) -> _Events:
    lines = fields["tokens"] * fields["chunks"]
    values = lines * config.line
    yield Part.MEMORIES, "spike lines read", lines * fields["groups"], _line_pj(config, config.line)
    written = lines * config.groups(config.token_bits)
    yield Part.MEMORIES, "token lines written", written, _line_pj(config, config.line)
    yield Part.SELECTION, "spike count additions", values * fields["groups"] * config.steps, adder_pj(1)
    count_bits = unsigned_bits(config.max_steps)
    yield Part.SELECTION, "gain multiplications", values, multiplier_pj(count_bits, config.gain_bits)
    sum_bits = config.token_bits + unsigned_bits(config.max_tokens - 1)
    yield Part.SELECTION, "pooled additions", values, adder_pj(sum_bits)
    yield Part.MEMORIES, "pooled sums written", fields["chunks"] * config.line, _pool_pj(config)


def _gather(config: CoreConfig, fields: Fields, k: int) -> _Events:
    yield Part.MEMORIES, "token lines copied", 2 * k * fields["lines"], _line_pj(config, config.line)


def _attend(config: CoreConfig, fields: Fields, k: int) -> _Events:
    features = fields["pitch"] * config.lanes
    heads = -(-fields["pitch"] // fields["chunks"])
    byte, pairs = config.token_bits, k * k
    probability = unsigned_bits(max(EXP_TABLE))
    dot = 2 * byte + unsigned_bits(config.max_features)
    mixed = byte + probability + unsigned_bits(config.max_topk)
    score = config.score_bits
    yield Part.ATTENTION, "query-key multiplications", pairs * features, multiplier_pj(byte, byte)
    yield Part.ATTENTION, "query-key additions", pairs * features, adder_pj(dot)
    yield Part.ATTENTION, "sharpness multiplications", heads * pairs, multiplier_pj(score, config.gain_bits)
    yield Part.ATTENTION, "score additions, maxima and distances", 3 * heads * pairs, adder_pj(score)
    yield Part.ATTENTION, "probability additions", heads * pairs, adder_pj(mixed - byte)
    yield (
        Part.ATTENTION,
        "probability-value multiplications",
        pairs * features,
        multiplier_pj(probability, byte),
    )
    yield Part.ATTENTION, "probability-value additions", pairs * features, adder_pj(mixed)
    yield Part.ATTENTION, "normalisations", k * features, multiplier_pj(mixed, config.reciprocal_bits + 2)
    row = _token_row_pj(config)
    yield Part.MEMORIES, "query rows read", k * fields["pitch"], row
    yield Part.MEMORIES, "key and value rows read", 2 * pairs * fields["pitch"], row
    similarity = access_pj(score, 4 * config.max_topk * score)
    yield Part.MEMORIES, "similarities written and read", pairs * (heads + fields["pitch"]), similarity
    if fields["to_tokens"]:
        segments = k * fields["pitch"] * config.groups(config.token_bits)
        yield Part.MEMORIES, "token segments written", segments, _line_pj(config, config.lanes)
    else:
        yield Part.ATTENTION, "pooled additions", k * features, adder_pj(config.pool_bits)
        yield Part.MEMORIES, "pooled sums read and written", 2 * k * features, _pool_pj(config)


def _pool(config: CoreConfig, fields: Fields) -> _Events:
    yield Part.MEMORIES, "pooled sums read", fields["chunks"] * config.line, _pool_pj(config)
    lines = fields["chunks"] * config.groups(config.token_bits)
    yield Part.MEMORIES, "feature lines written", lines, _line_pj(config, config.line)
