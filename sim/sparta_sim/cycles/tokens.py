"""Cycles of GATE, GATHER and POOL descriptors, from ``start`` to ``done``."""

from collections.abc import Mapping

from sparta_hw.config import CoreConfig

__all__ = ["gate_cycles", "gather_cycles", "pool_cycles"]


def gate_cycles(config: CoreConfig, fields: Mapping[str, int]) -> int:
    """Clock cycles of the gate: ``chunks * (N * max(groups, p) + p + 9 + L) + 2``, p = ceil(8 / S).

    Parameters
    ----------
    config : CoreConfig
        The core.
    fields : mapping
        Descriptor fields (:func:`sparta_hw.descriptor.decode`); ``tokens``, ``chunks`` and ``groups`` count.
    """
    planes = config.groups(config.token_bits)
    reads = fields["tokens"] * max(fields["groups"], planes)
    return fields["chunks"] * (reads + planes + 9 + config.line) + 2


def gather_cycles(fields: Mapping[str, int], topk: int) -> int:
    """Clock cycles of the gather unit, ``K * lines + 6``; ``lines`` counts."""
    return topk * fields["lines"] + 6


def pool_cycles(config: CoreConfig, fields: Mapping[str, int]) -> int:
    """Clock cycles of the pool, ``chunks * (L + ceil(8 / S) + 2) + 1``; ``chunks`` counts."""
    return fields["chunks"] * (config.line + config.groups(config.token_bits) + 2) + 1
