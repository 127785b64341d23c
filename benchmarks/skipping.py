"""What skipping silent entries gains: the same layers with it and without, over the spike rate; exact."""

from collections.abc import Iterator

import numpy as np

from sparta_hw.descriptor import Op, decode
from sparta_hw.program import Program
from sparta_sim.cycles.array import layer_times
from sparta_sim.limits import Ratio, descriptor_limit

__all__ = ["SPIKE_RATES", "skipping_ratios"]

SPIKE_RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_GOAL = 1 / 0.9
"""A gain within 10 % of what the entries' activity allows."""


def skipping_ratios(program: Program) -> Iterator[Ratio]:
    """Cycles of each spiking layer with skipping against those without times the part of entries that is active.

    Where so few entries are active that HI-LIF steps or lines of the spike memory, which do not get fewer with them,
    take longer, these are the limit, and named. Spikes are independent of each other at each rate; of real ones, which
    cluster, ``estimate`` and ``compile --dense`` tell.
    """
    config = program.config
    for node, word in zip(program.nodes, program.descriptors, strict=True):
        fields = decode(word)
        if fields["op"] is not Op.LAYER or fields["integer"] or fields["ranked"]:
            continue
        rng = np.random.default_rng(0)
        entries, steps = fields["in_height"] * fields["row_pitch"], fields["steps"]
        for rate in SPIKE_RATES:
            words = ((rng.random((entries, steps)) < rate) * (1 << np.arange(steps))).sum(axis=1)
            sparse = layer_times(config, fields, words)
            dense = layer_times(config, fields | {"dense": 1}, words)
            activity = sparse.entries / dense.entries
            limit = descriptor_limit(config, fields, dense.cycles * activity, sparse.copied, k=0)
            yield Ratio(
                f"{program.name}: {node}, {rate:.0%} spikes, {activity:.1%} of entries: {limit.resource}",
                sparse.cycles,
                limit.cycles,
                goal=_GOAL,
            )
