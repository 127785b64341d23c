"""Hardware views of :mod:`sparta_hw.descriptor` and of the payloads that units exchange."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import FIELDS, Op
from sparta_hw.numerics import unsigned_bits

__all__ = [
    "CUES",
    "cue_layout",
    "cue_sums_layout",
    "descriptor_layout",
    "mask_layout",
    "record_layout",
    "spike_item_layout",
    "value_item_layout",
]

CUES = ("first", "interval", "burst", "rate")
"""The cues in the order of their tables."""


def descriptor_layout(op: Op) -> data.StructLayout:
    """Bit fields of one kind of descriptor, lowest bits first, as the compiler packs them."""
    return data.StructLayout(
        {field.name: signed(field.bits) if field.signed else unsigned(field.bits) for field in FIELDS[op]}
    )


def cue_sums_layout(config: CoreConfig) -> data.StructLayout:
    """Sums over the channel words w of one position, 0 to max_features x max_steps (ARCHITECTURE.md, "Cues").

    first : F = sum first(w), T for a silent w;  span : A = sum last(w) - first(w);
    gaps : G = sum max(popcount(w) - 1, 0);  burst : U = sum popcount(w & w >> 1);
    rate : R = sum popcount(w).
    """
    bits = unsigned_bits(config.max_features * config.max_steps)
    return data.StructLayout({name: unsigned(bits) for name in ("first", "span", "gaps", "burst", "rate")})


def cue_layout(config: CoreConfig) -> data.StructLayout:
    """The :data:`CUES` of one position of one scale, 0 to T << 3 each."""
    return data.StructLayout(dict.fromkeys(CUES, unsigned(unsigned_bits(config.silent_cue))))


def record_layout(config: CoreConfig) -> data.StructLayout:
    """What the core knows of one grid token p.

    msp, temporal : scores, s12.4;  first, interval, rate : cues summed over the scales, u11.3;
    cell : position of p in the last scale;  top, bottom, left, right : p lies on that edge of the grid.
    """
    return data.StructLayout(
        {
            "msp": signed(config.score_bits),
            "temporal": signed(config.score_bits),
            "first": unsigned(config.cue_bits),
            "interval": unsigned(config.cue_bits),
            "rate": unsigned(config.cue_bits),
            "cell": range(config.max_tokens),
            "top": 1,
            "bottom": 1,
            "left": 1,
            "right": 1,
        }
    )


def mask_layout(config: CoreConfig) -> data.StructLayout:
    """What attention needs of one rank's token. mask : its MSP score, s12.4;  sharpness : u8.6."""
    return data.StructLayout({"mask": signed(config.score_bits), "sharpness": unsigned(config.gain_bits)})


def spike_item_layout(config: CoreConfig) -> data.StructLayout:
    """F neurons' spikes of one step group, on their way to the spike memory and the cue unit.

    line : row of the spike memory;  segment : which F entries of it;  position : token index;  tile : channels
    tile * P and up, those of this slot where lanes share the fire stage;  first_tile : channel 0 is among them;
    first_group, last_group : their words begin, are complete;  kept : later positions of the tile that are silent have
    the same words;  copied : this is one of them;
    words : lane-major, S bits a lane, bit s = step s of the group, zero beyond T.
    """
    return data.StructLayout(
        {
            "line": unsigned(16),
            "segment": range(max(config.segments, 2)),
            "position": unsigned(24),
            "tile": unsigned(10),
            "slot": range(max(config.fire_share, 2)),
            "first_tile": 1,
            "first_group": 1,
            "last_group": 1,
            "kept": 1,
            "copied": 1,
            "words": data.ArrayLayout(unsigned(config.steps), config.fire_lanes),
        }
    )


def value_item_layout(config: CoreConfig) -> data.StructLayout:
    """P integers of one position, shifted, and saturated to 8 bits unless they are logits."""
    return data.StructLayout(
        {
            "position": unsigned(24),
            "tile": unsigned(10),
            "values": data.ArrayLayout(signed(config.sum_bits), config.lanes),
        }
    )
