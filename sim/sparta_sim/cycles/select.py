"""Cycles of SELECT, GATE and POOL descriptors, from ``start`` to ``done``."""

from collections.abc import Mapping

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import unsigned_bits

__all__ = ["gate_cycles", "pool_cycles", "select_cycles"]


def select_cycles(config: CoreConfig, fields: Mapping[str, int], topk: int) -> int:
    """Clock cycles of the select unit: ``N * (q + 1) + K + 7``, q = bits of ``silent_cue``.

    One division a token, K results, and 7 cycles from the last quotient to the token list.

    Parameters
    ----------
    config : CoreConfig
        The core.
    fields : mapping
        Descriptor fields (:func:`sparta_hw.descriptor.decode`); only ``tokens`` counts.
    topk : int
        K, at least 1.
    """
    return fields["tokens"] * (unsigned_bits(config.silent_cue) + 1) + topk + 7


def gate_cycles(config: CoreConfig, fields: Mapping[str, int]) -> int:
    """Clock cycles of the gate unit.

    Tables of products, then per chunk of L channels all tokens, the pipeline, and L sums::

        max_steps + 3 + chunks * (N * max(groups, lines) + lines + 3 + L),    lines = ceil(8 / S)

    Parameters
    ----------
    config : CoreConfig
        The core.
    fields : mapping
        Descriptor fields; ``tokens``, ``chunks`` and ``groups`` count.
    """
    lines = config.groups(config.token_bits)
    chunk = fields["tokens"] * max(fields["groups"], lines) + lines + 3 + config.line
    return config.max_steps + 3 + fields["chunks"] * chunk


def pool_cycles(config: CoreConfig, fields: Mapping[str, int]) -> int:
    """Clock cycles of the pool unit: ``chunks * (L + ceil(8 / S) + 2) + 1``.

    Parameters
    ----------
    config : CoreConfig
        The core.
    fields : mapping
        Descriptor fields; only ``chunks`` counts.
    """
    return fields["chunks"] * (config.line + config.groups(config.token_bits) + 2) + 1
