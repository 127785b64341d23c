"""What skipping silent entries gains: the same layers with it and without, over the spike rate; exact."""

from collections.abc import Iterator

import numpy as np

from sparta_hw.descriptor import Op, decode
from sparta_hw.program import Program
from sparta_sim.cycles.array import layer_times
from sparta_sim.limits import Ratio

__all__ = ["SPIKE_RATES", "skipping_ratios"]

SPIKE_RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_GOAL = 1 / 0.9
"""A gain within 10 % of what the entries' activity allows."""


def skipping_ratios(program: Program, layers: tuple[str, ...]) -> Iterator[Ratio]:
    """Cycles with skipping against those without times the part of entries that is active.

    Spikes are independent of each other at each rate; of real ones, which cluster, ``estimate`` and ``compile --dense``
    tell. Where the ratio is far from 1, the layer waits for HI-LIF, whose steps do not get fewer with the spikes.
    """
    config = program.config
    rng = np.random.default_rng(0)
    for node, word in zip(program.nodes, program.descriptors, strict=True):
        if node not in layers:
            continue
        fields = decode(word)
        if fields["op"] is not Op.LAYER:
            raise ValueError(f"{node} is no layer of the neuron array")
        entries, steps = fields["in_height"] * fields["row_pitch"], fields["steps"]
        for rate in SPIKE_RATES:
            words = ((rng.random((entries, steps)) < rate) * (1 << np.arange(steps))).sum(axis=1)
            cycles, active, *_ = layer_times(config, fields, words)
            dense_cycles, all_entries, *_ = layer_times(config, fields | {"dense": 1}, words)
            yield Ratio(
                f"{program.name}: {node}, {rate:.0%} spikes, {active / all_entries:.1%} of entries active",
                cycles,
                dense_cycles * active / all_entries,
                goal=_GOAL,
            )
