"""Work of the cue unit, and of the SCORE and RANK units."""

from collections.abc import Mapping

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import RankBy
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.cues import cue_row_bits
from sparta_rtl.digit_tree import RADIX, RADIX_BITS, counts_layout
from sparta_rtl.layouts import cue_layout, cue_sums_layout, mask_layout, record_layout
from sparta_rtl.topk_radix import digit_levels
from sparta_rtl.topk_units import topk_params
from sparta_sim.energy.figures import access_pj, adder_pj, multiplier_pj
from sparta_sim.energy.parts import Events, Part

__all__ = ["cue_events", "rank_events", "score_events"]

_NEIGHBOURS = 8
_INPUTS = 3


def cue_events(config: CoreConfig, spikes: int, positions: int, tiles: int) -> Events:
    """Of a layer whose spikes are collected: counters and sums of each tile, divisions after the last one."""
    sums = cue_sums_layout(config)
    subtractions = positions * cue_layout(config).size
    yield Part.SELECTION, "cue counter additions", len(sums.members) * spikes, adder_pj(1)
    yield Part.SELECTION, "cue sums read and written", 2 * positions * tiles, _cue_row_pj(config)
    yield Part.SELECTION, "division steps", subtractions, adder_pj(sums["first"].width)


def score_events(config: CoreConfig, fields: Mapping[str, int]) -> Events:
    """Look-ups and additions of every scale, and one record a token."""
    tokens, items = fields["tokens"], fields["tokens"] * fields["scales"]
    entries = 2 * config.table_bits
    rows = config.scales * (config.silent_cue + 1)
    yield Part.SELECTION, "cues read", items, _cue_row_pj(config)
    yield Part.SELECTION, "score tables read", 4 * items, access_pj(entries, rows * entries)
    yield Part.SELECTION, "score additions", 8 * items, adder_pj(config.score_bits)
    yield Part.SELECTION, "records written", tokens, _record_pj(config)


def rank_events(config: CoreConfig, fields: Mapping[str, int], k: int) -> Events:
    """Records, the token MLP, the selection and the lists."""
    tokens, by = fields["tokens"], RankBy(fields["by"])
    neighbours = _NEIGHBOURS if fields["spatial"] else 0
    listed = fields["groups"] if by is RankBy.RATE else k
    entry = unsigned_bits(config.max_tokens - 1) + mask_layout(config).size
    yield Part.SELECTION, "records read", tokens * (1 + neighbours) + listed, _record_pj(config)
    yield Part.SELECTION, "neighbour additions", tokens * neighbours, adder_pj(config.cue_bits)
    runs = tokens * (by in (RankBy.FUSION, RankBy.PRIORITY)) + fields["dynamic"]
    products = runs * config.hidden_units * (_INPUTS + 1)
    yield (
        Part.SELECTION,
        "MLP multiplications",
        products,
        multiplier_pj(config.score_bits, config.mlp_weight_bits),
    )
    yield Part.SELECTION, "MLP additions", products, adder_pj(config.mlp_bias_bits)
    if fields["dynamic"]:
        yield (
            Part.SELECTION,
            "squares of K's statistics",
            tokens,
            multiplier_pj(config.cue_bits, config.cue_bits),
        )
    yield from _sorter_events(config, tokens) if config.topk == "sorter" else _radix_events(config, tokens)
    yield Part.SELECTION, "list entries written", listed, access_pj(entry, entry * config.max_topk)


def _sorter_events(config: CoreConfig, tokens: int) -> Events:
    """Every cell compares every token."""
    yield Part.SELECTION, "sorter comparisons", tokens * config.max_topk, adder_pj(config.score_bits)


def _radix_events(config: CoreConfig, tokens: int) -> Events:
    """A row of counts a level and token, and one a level of the search; each key stored, read and compared."""
    params = topk_params(config)
    levels, counts = digit_levels(params), counts_layout(params.tokens).size
    for level in range(1, levels):
        row_pj = access_pj(counts, counts << RADIX_BITS * level)
        yield Part.SELECTION, f"counts of {level} digits", 2 * tokens + 1, row_pj
    count_bits = unsigned_bits(params.tokens)
    yield Part.SELECTION, "digits counted", levels * (tokens + 1) * (RADIX - 1), adder_pj(count_bits)
    key_pj = access_pj(params.key_bits, params.key_bits * params.tokens)
    yield Part.SELECTION, "keys stored and read", 2 * tokens, key_pj
    yield Part.SELECTION, "keys compared", tokens, adder_pj(params.key_bits)


def _cue_row_pj(config: CoreConfig) -> float:
    row = cue_row_bits(config)
    return access_pj(row, row * config.max_tokens * config.scales)


def _record_pj(config: CoreConfig) -> float:
    bits = record_layout(config).size
    return access_pj(bits, bits * config.max_tokens)
