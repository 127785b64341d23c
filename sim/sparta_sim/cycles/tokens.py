"""Cycles of GATE, GATHER and POOL descriptors, from ``start`` to ``done``."""

from collections.abc import Mapping

from sparta_hw.config import CoreConfig

__all__ = ["gate_cycles", "gate_reads", "gather_cycles", "pool_cycles"]


def gate_reads(config: CoreConfig, fields: Mapping[str, int]) -> int:
    """Lines of one chunk that the gate reads, or has to write, one a cycle: ``N * max(groups, ceil(8 / S))``."""
    return fields["tokens"] * max(fields["groups"], config.groups(config.token_bits))


def gate_cycles(config: CoreConfig, fields: Mapping[str, int]) -> int:
    """Clock cycles of the gate: ``chunks * (N * max(groups, p) + p + 14 + L) + 3``, p = ceil(8 / S).

    Parameters
    ----------
    config : CoreConfig
        The core.
    fields : mapping
        Descriptor fields (:func:`sparta_hw.descriptor.decode`); ``tokens``, ``chunks`` and ``groups`` count.
    """
    planes = config.groups(config.token_bits)
    return fields["chunks"] * (gate_reads(config, fields) + planes + 14 + config.line) + 3


def gather_cycles(fields: Mapping[str, int], topk: int) -> int:
    """Clock cycles of the gather unit, ``K * lines + 7``; ``lines`` counts."""
    return topk * fields["lines"] + 7


def pool_cycles(config: CoreConfig, fields: Mapping[str, int]) -> int:
    """Clock cycles of the pool, ``chunks * (L + ceil(8 / S) + 3) + 1``; ``chunks`` counts."""
    return fields["chunks"] * (config.line + config.groups(config.token_bits) + 3) + 1
