"""Layer descriptors: what the sequencer executes, as named bit fields of one 512-bit word.

The compiler writes them, the interpreter of the program text prints them, and the generator turns the same
field lists into the hardware's decoder. Every kind starts with the 32 bits of ``op`` and ``id``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from sparta_hw.errors import CapacityError

__all__ = ["DESCRIPTOR_BITS", "DESCRIPTOR_WORDS", "FIELDS", "Destination", "Op", "decode", "encode"]

DESCRIPTOR_WORDS = 16
DESCRIPTOR_BITS = 32 * DESCRIPTOR_WORDS


class Op(IntEnum):
    """What one descriptor asks of the core."""

    END = 0
    LAYER = 1
    SELECT = 2
    GATE = 3
    ATTEND = 4
    POOL = 5


class Destination(IntEnum):
    """Where the neuron array's results of one layer go."""

    SPIKES = 0
    QUERY = 1
    KEY = 2
    VALUE = 3
    LOGITS = 4


@dataclass(frozen=True)
class Field:
    """One unsigned (or two's complement) bit field."""

    name: str
    bits: int
    doc: str
    signed: bool = False


_HEAD = (
    Field("op", 8, "kind of descriptor, see Op"),
    Field("id", 24, "index of the descriptor in its program"),
)

FIELDS: Mapping[Op, tuple[Field, ...]] = {
    Op.END: _HEAD,
    Op.LAYER: (
        *_HEAD,
        Field("integer", 1, "0: HI-LIF, results are spikes; 1: recombine bit planes, results are integers"),
        Field("signed", 1, "integer: plane 0 weighs -2^(planes-1), not +2^(planes-1)"),
        Field("soft", 1, "HI-LIF: reset by subtracting the threshold"),
        Field("cues", 1, "collect the cues of the written spikes; a position is a token"),
        Field("gather", 1, "positions are the selected tokens in rank order, not a grid"),
        Field("destination", 3, "where results go, see Destination"),
        Field("shift", 5, "arithmetic right shift of sums before saturation"),
        Field("pad", 4, "zero pixels around the input"),
        Field("kernel_height", 4, "rows of the window"),
        Field("steps", 6, "T, or bit planes, of the input"),
        Field("groups", 6, "lines of one set of entries: ceil(steps / S)"),
        Field("in_base", 16, "first line of the input"),
        Field("out_base", 16, "first line of the result in the spike memory"),
        Field("in_height", 12, "input rows"),
        Field("row_pitch", 20, "entries from one input row to the next"),
        Field("out_height", 12, "output rows"),
        Field("out_width", 12, "output columns"),
        Field("run", 16, "entries of one window row: kernel width x channels"),
        Field("x_step", 16, "entries from one output column's window to the next"),
        Field("y_step", 8, "input rows from one output row's window to the next"),
        Field("x_start", 16, "entries of left padding: pad x channels"),
        Field("tiles", 10, "output tiles of P lanes"),
        Field("out_pitch", 14, "entries from one output position to the next: tiles x P"),
        Field("outputs", 14, "results that exist, of tiles x P"),
        Field("weight_base", 20, "first weight row of tile 0, its header"),
        Field("weight_pitch", 18, "weight rows from one tile to the next"),
        Field("v_reset", 16, "HI-LIF: membrane at start and after a hard reset", signed=True),
    ),
    Op.SELECT: (
        *_HEAD,
        Field("tokens", 12, "N"),
        Field("channels", 12, "C, divisor of the mean cues"),
        Field("steps", 6, "T: cue of a silent token"),
    ),
    Op.GATE: (
        *_HEAD,
        Field("tokens", 12, "N"),
        Field("chunks", 8, "lines of one token's channels: ceil(D / L)"),
        Field("groups", 6, "lines of one set of spike words"),
        Field("in_base", 16, "first line of the spikes"),
        Field("out_base", 16, "first line of the gated tokens"),
        Field("gain_selected", 8, "alpha of eq. 9 on the gain grid"),
        Field("gain_other", 8, "beta of eq. 9 on the gain grid"),
        Field("shift", 5, "right shift of count x gain"),
        Field("pool_shift", 5, "left shift of a gated value into its pooled sum"),
    ),
    Op.ATTEND: (
        *_HEAD,
        Field("chunks", 8, "rows of P features of one token: D / P"),
        Field("shift", 5, "right shift of a dot product onto the score grid"),
        Field("pool_shift", 5, "left shift of an attention value into its pooled sum"),
    ),
    Op.POOL: (
        *_HEAD,
        Field("chunks", 8, "lines of pooled features: ceil(D / L)"),
        Field("shift", 5, "right shift of a pooled sum before saturation"),
        Field("out_base", 16, "first line of the pooled features"),
    ),
}


def _layout(op: Op) -> Iterator[tuple[Field, int]]:
    position = 0
    for field in FIELDS[op]:
        yield field, position
        position += field.bits


def encode(op: Op, node: str, **values: int) -> int:
    """One descriptor as an integer of :data:`DESCRIPTOR_BITS` bits; fields not given are zero.

    Raises
    ------
    CapacityError
        A value does not fit its field; the message names ``node``, field, limit and value.
    """
    word = int(op)
    rest = dict(values)
    for field, position in _layout(op):
        value = int(rest.pop(field.name, 0))
        if field.name == "op":
            continue
        low, high = (
            (-(1 << field.bits - 1), (1 << field.bits - 1) - 1)
            if field.signed
            else (0, (1 << field.bits) - 1)
        )
        if not low <= value <= high:
            raise CapacityError(
                f"{node}: {field.name} ({field.doc}) is {value}, a descriptor holds {low} to {high}"
            )
        word |= (value & (1 << field.bits) - 1) << position
    if rest:
        raise KeyError(f"{op.name} descriptors have no field {sorted(rest)[0]!r}")
    return word


def decode(word: int) -> dict[str, int]:
    """The fields of one descriptor, ``op`` included as an :class:`Op`."""
    op = Op(word & 0xFF)
    values: dict[str, int] = {}
    for field, position in _layout(op):
        value = word >> position & (1 << field.bits) - 1
        values[field.name] = value - (1 << field.bits) if field.signed and value >> field.bits - 1 else value
    values["op"] = op
    return values
