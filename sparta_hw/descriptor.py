"""Layer descriptors: what the sequencer executes, as named bit fields of one 512-bit word.

The compiler writes them, the interpreter of the program text prints them, and the generator turns the same
field lists into the hardware's decoder. Every kind starts with the 32 bits of ``op`` and ``id``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from sparta_hw.errors import CapacityError

__all__ = [
    "DESCRIPTOR_BITS",
    "DESCRIPTOR_WORDS",
    "FIELDS",
    "USED_WORDS",
    "Destination",
    "MlpSet",
    "Op",
    "RankBy",
    "decode",
    "encode",
]

DESCRIPTOR_WORDS = 16
DESCRIPTOR_BITS = 32 * DESCRIPTOR_WORDS


class Op(IntEnum):
    """What one descriptor asks of the core."""

    END = 0
    LAYER = 1
    SCORE = 2
    RANK = 3
    GATE = 4
    GATHER = 5
    ATTEND = 6
    POOL = 7
    FEEDBACK = 8


class Destination(IntEnum):
    """Where the neuron array's results of one layer go."""

    SPIKES = 0
    QUERY = 1
    KEY = 2
    VALUE = 3
    LOGITS = 4
    TOKENS = 5
    COUNTS = 6
    """Spikes, to memory as well, whose counts are the network's answer."""


class RankBy(IntEnum):
    """What the RANK unit orders tokens by, and what becomes of the order."""

    RATE = 0
    """Patch grouping: grid tokens by rate; fills the group list."""
    MSP = 1
    """The MSP score; fills the token list and marks the winners."""
    FUSION = 2
    """The fusion MLP of spatial, MSP and temporal score; fills the token list and marks the winners."""
    PRIORITY = 3
    """The priority MLP of first, interval and gated rate; fills the token list, with the K of the ranking before."""


class MlpSet(IntEnum):
    """Which eight rows of the MLP memory."""

    FUSION = 0
    SPARSITY = 1
    PRIORITY = 2


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
        Field("integer", 1, "input is bit planes, recombined; 0: each plane is a time step"),
        Field("signed", 1, "integer: plane 0 weighs -2^(planes-1), not +2^(planes-1)"),
        Field("direct", 1, "integer: HI-LIF sees the recombined sum in each of out_steps steps"),
        Field("soft", 1, "HI-LIF: reset by subtracting the threshold"),
        Field("cues", 1, "collect the cues of the written spikes"),
        Field("dense", 1, "silent entries are not skipped: what sparsity is measured against"),
        Field("ranked", 1, "one row of K positions, whatever out_width says"),
        Field("destination", 3, "where results go, see Destination"),
        Field("shift", 5, "arithmetic right shift of sums before saturation"),
        Field("pad", 4, "zero pixels around the input"),
        Field("kernel_height", 4, "rows of the window"),
        Field("slots", 5, "parts of F lanes that fire in each tile"),
        Field("steps", 6, "T, or bit planes, of the input"),
        Field("groups", 6, "lines of one set of input entries: ceil(steps / S)"),
        Field("out_steps", 6, "T, or bit planes, of the result in the spike memory"),
        Field("out_groups", 6, "lines of one set of result entries: ceil(out_steps / S)"),
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
        Field("tiles", 10, "output tiles"),
        Field("out_pitch", 14, "entries from one output position to the next: tiles x slots x F"),
        Field("outputs", 14, "results that exist, of out_pitch"),
        Field("weight_base", 20, "first weight row of tile 0, its header"),
        Field("weight_pitch", 18, "weight rows from one tile to the next"),
        Field("cue_base", 12, "cues: row of position 0 in the cue memory"),
        Field("feedback_gain", 8, "HI-LIF: gain of the feedback state on the thresholds"),
        Field("feedback_limit", 12, "HI-LIF: largest offset of the thresholds, either way"),
        Field("v_reset", 16, "HI-LIF: membrane at start and after a hard reset", signed=True),
    ),
    Op.SCORE: (
        *_HEAD,
        Field("tokens", 12, "grid tokens: height x width"),
        Field("width", 12, "columns of the grid"),
        Field("scales", 2, "1 to 3"),
        *(
            Field(f"cue_base{scale}", 12, f"scale {scale}: row of position 0 in the cue memory")
            for scale in range(3)
        ),
        Field("pooled", 1, "the last scale has one position a cell of the grid, not one a token"),
        Field("cell_height", 8, "pooled: grid rows of a cell"),
        Field("cell_width", 8, "pooled: grid columns of a cell"),
        Field("cell_columns", 8, "pooled: cells in a row of cells"),
    ),
    Op.RANK: (
        *_HEAD,
        Field("by", 2, "see RankBy"),
        Field("tokens", 12, "tokens to rank: grid tokens for RATE, else N"),
        Field("groups", 12, "RATE: N, length of the group list"),
        Field("grouped", 1, "token i is grid token group[i], not i"),
        Field("width", 12, "columns of the grid"),
        Field("spatial", 1, "FUSION: the first input is the centre-surround score, not 0"),
        Field("inhibition", 7, "FUSION: surround of the centre-surround kernel, u7.6"),
        Field("hidden_shift", 5, "FUSION, PRIORITY: shift of the MLP's hidden sums"),
        Field("shift", 5, "FUSION, PRIORITY: shift of the MLP's output"),
        Field("bias", 24, "FUSION, PRIORITY: bias of the MLP's output", signed=True),
        Field("dynamic", 1, "K comes from the sparsity MLP unless the host asks for one"),
        Field("sparsity_hidden_shift", 5, "dynamic: shift of the sparsity MLP's hidden sums"),
        Field("sparsity_shift", 5, "dynamic: shift of the sparsity MLP's output"),
        Field("sparsity_bias", 24, "dynamic: bias of the sparsity MLP's output", signed=True),
        Field("temperature", 1, "sharpness of a query from the temperature table, not 1"),
    ),
    Op.GATE: (
        *_HEAD,
        Field("tokens", 12, "N"),
        Field("chunks", 8, "lines of one position's channels in the source"),
        Field("groups", 6, "lines of one set of spike words"),
        Field("in_base", 16, "first line of the spikes"),
        Field("out_base", 16, "first line of these features of token 0"),
        Field("out_chunks", 8, "lines (times bit planes) of one token: all its features / L"),
        Field("feature_base", 13, "first feature in the pool memory"),
        Field("grouped", 1, "token i is grid token group[i], not i"),
        Field("pooled", 1, "the source has one position a cell of the grid"),
        Field("gain_selected", 8, "alpha of eq. 9 on the gain grid"),
        Field("gain_other", 8, "beta of eq. 9 on the gain grid"),
        Field("timing", 1, "multiply gains by the timing table"),
        Field("shift", 5, "right shift of count x gain"),
        Field("limit", 8, "largest gated value"),
        Field("pool_shift", 5, "left shift of a gated value into its pooled sum"),
    ),
    Op.GATHER: (
        *_HEAD,
        Field("lines", 12, "lines of one token"),
        Field("in_base", 16, "first line of token 0"),
        Field("out_base", 16, "first line of rank 0"),
    ),
    Op.ATTEND: (
        *_HEAD,
        Field("pitch", 8, "rows of P features of one token: all heads, and padding"),
        Field("chunks", 8, "how many of them a head has"),
        Field("shift", 5, "right shift of a dot product onto the score grid"),
        Field("to_tokens", 1, "results go to the spike memory as bit planes, not to the pool"),
        Field("pool_shift", 5, "left shift of an attention value into its pooled sum"),
        Field("out_base", 16, "to_tokens: first line of rank 0"),
    ),
    Op.POOL: (
        *_HEAD,
        Field("chunks", 8, "lines of pooled features: ceil(D / L)"),
        Field("shift", 5, "right shift of a pooled sum before saturation"),
        Field("out_base", 16, "first line of the pooled features"),
    ),
    Op.FEEDBACK: (
        *_HEAD,
        Field("activity_shift", 5, "right shift of the summed magnitudes of this inference's attention"),
        Field("rate_shift", 4, "the average forgets 2^-rate_shift an inference"),
        Field("target", 16, "activity at which thresholds stay as trained"),
    ),
}

USED_WORDS = -(-max(sum(field.bits for field in fields) for fields in FIELDS.values()) // 32)
"""Words at the front of a descriptor that fields take: the core fetches these only."""


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
