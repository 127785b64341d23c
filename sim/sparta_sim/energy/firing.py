"""Energy of the fire stage: currents of sums, and their HI-LIF steps."""

from collections.abc import Mapping

from sparta_hw.config import CoreConfig
from sparta_rtl.hilif import lane_header
from sparta_rtl.steps import BUFFERS
from sparta_sim.energy.figures import access_pj, adder_pj, multiplier_pj
from sparta_sim.energy.parts import Events, Part

__all__ = ["fire_events"]


def fire_events(config: CoreConfig, fields: Mapping[str, int], fired: int, copied: int) -> Events:
    """What the fire stage does for a layer: every lane takes every step of a position that it fires.

    Parameters
    ----------
    config : CoreConfig
        The core.
    fields : mapping
        Of a LAYER descriptor.
    fired, copied : int
        Output positions that take all their steps, and those that take one.
    """
    outputs, planes = fields["outputs"], fields["steps"]
    spiking = not fields["integer"] or fields["direct"]
    currents = fired * (1 if fields["integer"] else planes) + copied
    if fields["integer"]:
        yield Part.FIRE, "plane additions", outputs * fired * planes, adder_pj(config.sum_bits)
    yield Part.FIRE, "bias additions", outputs * currents, adder_pj(config.sum_bits)
    if spiking:
        steps = fired * fields["out_steps"] + copied
        own = config.fire_share == 1
        multiplications, additions = (2, 5) if own else (1, 4)
        leak = multiplier_pj(config.membrane_bits, config.tau_bits)
        yield Part.FIRE, "leak multiplications", multiplications * outputs * steps, leak
        membrane = adder_pj(config.membrane_bits)
        yield Part.FIRE, "membrane additions", additions * outputs * steps, membrane
        if own:
            moved = fields["tiles"] * (currents + steps)
            yield Part.MEMORIES, "currents written and read", moved, _current_pj(config)
        else:
            taken = fields["tiles"] * fields["slots"] * steps
            yield Part.MEMORIES, "parameters read", taken, _slot_pj(config, lane_header(config).size)
            yield (
                Part.MEMORIES,
                "membranes read and written",
                2 * taken,
                _slot_pj(config, config.membrane_bits),
            )


def _current_pj(config: CoreConfig) -> float:
    """One access to the currents of all lanes in a step."""
    bits = config.lanes * config.membrane_bits
    return access_pj(bits, bits * BUFFERS * config.steps)


def _slot_pj(config: CoreConfig, width: int) -> float:
    """One access to what the neurons that share F lanes have in a slot."""
    bits = config.fire_lanes * width
    return access_pj(bits, bits * config.fire_share)
