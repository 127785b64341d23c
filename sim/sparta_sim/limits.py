"""Each unit's cycles against what its work alone would take: measured / limit, never a number alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sparta_hw.descriptor import Op, RankBy, decode
from sparta_hw.program import Program
from sparta_sim.cycles.model import Prediction

__all__ = ["Ratio", "array_ratio", "unit_ratios"]


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


def array_ratio(program: Program, predictions: Sequence[Prediction], goal: float | None = None) -> Ratio:
    """Cycles of all LAYER descriptors against their active entries times tiles."""
    cycles, entries = _means(predictions)
    layers = [n for n, fields in enumerate(_fields(program)) if fields["op"] is Op.LAYER]
    return Ratio(
        f"{program.name}: neuron array, all layers",
        float(cycles[layers].sum()),
        float(entries[layers].sum()),
        goal=goal,
    )


def unit_ratios(program: Program, predictions: Sequence[Prediction], k: int) -> Iterator[Ratio]:
    """Ratios of attention, selection and the whole inference for samples with the same K.

    The limit of attention is its ``2 K^2 D`` multiplications over the unit's ``2 P`` multipliers, that of a ranking
    ``N + K`` cycles; the limit of an inference is the sum of active entries and attention's limit.
    """
    cycles, entries = _means(predictions)
    attention = attention_limit = 0.0
    for n, fields in enumerate(_fields(program)):
        if fields["op"] is Op.ATTEND:
            attention += float(cycles[n])
            attention_limit += k * k * fields["pitch"]
        if fields["op"] is Op.RANK and RankBy(fields["by"]) is not RankBy.RATE:
            by = RankBy(fields["by"]).name.lower()
            listed = fields["tokens"] + k
            yield Ratio(f"{program.name}, K = {k}: ranking by {by}", float(cycles[n]), listed)
    yield Ratio(f"{program.name}, K = {k}: attention", attention, attention_limit, goal=1.1)
    total = float(np.mean([one.cycles for one in predictions]))
    limit = float(entries.sum()) + attention_limit
    yield Ratio(f"{program.name}, K = {k}: whole inference", total, limit, goal=1.15)


def _means(predictions: Sequence[Prediction]) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.mean([one.layer_cycles for one in predictions], axis=0),
        np.mean([one.layer_entries for one in predictions], axis=0),
    )


def _fields(program: Program) -> Iterator[dict[str, int]]:
    return (decode(word) for word in program.descriptors[:-1])
