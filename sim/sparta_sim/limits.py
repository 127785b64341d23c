"""Each unit's cycles against what its work alone would take: measured / limit, never a number alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op, RankBy, decode
from sparta_hw.program import Program
from sparta_sim.cycles.model import Prediction
from sparta_sim.cycles.selection import rank_period
from sparta_sim.cycles.tokens import gate_reads
from sparta_sim.windows import lines_read, positions

__all__ = ["Limit", "Ratio", "array_ratio", "descriptor_limit", "descriptor_limits", "unit_ratios"]

_MANY_TOKENS = 256
"""From so many tokens on attention has a goal; with fewer, K may be small beside the lanes."""


@dataclass(frozen=True)
class Ratio:
    """``measured / limit`` in one unit.

    Parameters
    ----------
    what : str
        Unit, layer or pair of programs.
    measured, limit : float
        In ``unit``.
    unit : str
        "cycles", "s", ...
    goal : float or None
        Largest ratio that is good enough, where there is a goal.
    exact : bool
        The same in every run; else a timing.
    """

    what: str
    measured: float
    limit: float
    unit: str = "cycles"
    goal: float | None = None
    exact: bool = True

    @property
    def ratio(self) -> float:
        """``measured / limit``."""
        return self.measured / self.limit

    @property
    def met(self) -> bool:
        """Whether there is no goal, or it is met."""
        return self.goal is None or self.ratio <= self.goal


@dataclass(frozen=True)
class Limit:
    """What one descriptor takes at least, because its critical resource does one thing a cycle.

    Parameters
    ----------
    cycles : float
        0 for the units whose work does not grow with positions or tokens: pooling, feedback.
    resource : {"entries", "steps", "lines", "multiplications", "tokens", ""}
        Active entries into the accumulators;  HI-LIF steps or bit planes;  lines out of the spike memory;  attention;
        records, cues or lines of tokens, or hidden units of their MLP, one after the other.
    """

    cycles: float
    resource: str


def descriptor_limits(
    program: Program, entries: Sequence[float], copied: Sequence[float], k: int
) -> list[Limit]:
    """Limit of each descriptor but END.

    A LAYER cannot be faster than its active entries times tiles, nor than P lanes take for the steps of all its
    neurons, one step where spikes are copied, nor than one port of the spike memory takes for the lines of its windows;
    attention has ``2 K^2 D`` multiplications for ``2 P`` multipliers. Units that handle tokens take a cycle for each
    record, row of cues, line of a token, or hidden unit of the token MLP, and one for each entry that they list.

    Parameters
    ----------
    program : Program
        The network on its core.
    entries : sequence of float (descriptors,)
        Active entries of each descriptor, times tiles, of one sample or mean.
    copied : sequence of float (descriptors,)
        Positions of each descriptor, times tiles, that copy their spikes.
    k : int
        Tokens that attend.
    """
    return [
        descriptor_limit(program.config, fields, active, copies, k)
        for fields, active, copies in zip(_fields(program), entries, copied, strict=True)
    ]


def descriptor_limit(
    config: CoreConfig, fields: Mapping[str, int], entries: float, copied: float, k: int
) -> Limit:
    """One of :func:`descriptor_limits`; ``entries`` and ``copied`` are its own."""
    match fields["op"]:
        case Op.LAYER:
            steps = Limit(_firing_cycles(config, fields, copied, k), "steps")
            lines = Limit(fields["tiles"] * lines_read(config, fields, k), "lines")
            return max(Limit(entries, "entries"), steps, lines, key=lambda limit: limit.cycles)
        case Op.ATTEND:
            return Limit(k * k * fields["pitch"], "multiplications")
        case Op.SCORE:
            return Limit(fields["tokens"] * fields["scales"], "tokens")
        case Op.RANK:
            listed = fields["groups"] if RankBy(fields["by"]) is RankBy.RATE else k
            return Limit(fields["tokens"] * rank_period(fields) + listed, "tokens")
        case Op.GATE:
            return Limit(fields["chunks"] * gate_reads(config, fields), "tokens")
        case Op.GATHER:
            return Limit(k * fields["lines"], "tokens")
        case _:
            return Limit(0, "")


def _firing_cycles(config: CoreConfig, fields: Mapping[str, int], copied: float, k: int) -> float:
    height, width = positions(fields, k)
    spiking_steps = fields["out_steps"] if fields["direct"] else fields["steps"] * (not fields["integer"])
    planes = fields["steps"] if fields["integer"] else 0
    step = fields["slots"] if config.fire_share > 1 else 1
    return (fields["tiles"] * height * width - copied) * (planes + step * spiking_steps) + copied


def array_ratio(program: Program, predictions: Sequence[Prediction], goal: float | None = None) -> Ratio:
    """Cycles of all LAYER descriptors against their active entries times tiles."""
    cycles, entries, _ = _means(predictions)
    layers = [n for n, fields in enumerate(_fields(program)) if fields["op"] is Op.LAYER]
    return Ratio(
        f"{program.name}: neuron array, all layers",
        float(cycles[layers].sum()),
        float(entries[layers].sum()),
        goal=goal,
    )


def unit_ratios(program: Program, predictions: Sequence[Prediction], k: int) -> Iterator[Ratio]:
    """Ratios of attention, selection and the whole inference for samples with the same K.

    The limit of a ranking is ``N + K`` cycles, that of an inference the sum of :func:`descriptor_limits`.
    """
    cycles, entries, copied = _means(predictions)
    limits = descriptor_limits(program, entries.tolist(), copied.tolist(), k)
    attention = [n for n, fields in enumerate(_fields(program)) if fields["op"] is Op.ATTEND]
    for n, fields in enumerate(_fields(program)):
        if fields["op"] is Op.RANK and RankBy(fields["by"]) is not RankBy.RATE:
            by = RankBy(fields["by"]).name.lower()
            listed = fields["tokens"] + k
            yield Ratio(f"{program.name}, K = {k}: ranking by {by}", float(cycles[n]), listed)
    if attention:
        yield Ratio(
            f"{program.name}, K = {k}: attention",
            float(cycles[attention].sum()),
            sum(limits[n].cycles for n in attention),
            goal=1.1 if program.tokens >= _MANY_TOKENS else None,
        )
    total = float(np.mean([one.cycles for one in predictions]))
    yield Ratio(
        f"{program.name}, K = {k}: whole inference", total, sum(one.cycles for one in limits), goal=1.15
    )


def _means(predictions: Sequence[Prediction]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cycles, active entries and copied positions of each descriptor."""
    cycles, entries, copied = np.mean(
        [(one.layer_cycles, one.layer_entries, one.layer_copied) for one in predictions], axis=0
    )
    return cycles, entries, copied


def _fields(program: Program) -> Iterator[dict[str, int]]:
    return (decode(word) for word in program.descriptors[:-1])
