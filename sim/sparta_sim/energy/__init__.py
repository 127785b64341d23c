"""Energy of an inference, modelled: counted operations and memory accesses times published figures."""

from sparta_sim.energy.activity import Activity, Block, Part, count_activity
from sparta_sim.energy.estimate import EnergyEstimate, estimate_energy, synaptic_operations

__all__ = [
    "Activity",
    "Block",
    "EnergyEstimate",
    "Part",
    "count_activity",
    "estimate_energy",
    "synaptic_operations",
]
