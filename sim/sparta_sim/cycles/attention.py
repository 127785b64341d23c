"""Cycles of an ATTEND descriptor, from ``start`` to ``done``."""

from collections.abc import Mapping

from sparta_hw.config import CoreConfig

__all__ = ["attend_cycles"]

_COMPARE = 9
"""start, operands, products, dot product, shift, mask, saturation, row memory, row queue."""
_MIX = 6
"""Similarity, distance, exponential, weight, product, sum."""
_NORMALISE = 6
"""Exponent, mantissa, reciprocal, partial products, product, quotient."""


def attend_cycles(config: CoreConfig, fields: Mapping[str, int], topk: int) -> int:
    """Clock cycles of the attention unit when nothing stalls its output.

    Rows of P features are compared and mixed at one a cycle; a finished chunk is divided in P cycles while
    the next one is mixed::

        K * chunks  +  K * chunks * max(K, P)  +  min(K, P)  +  ceil(log4 P)  +  21
        first row      mixing, or division         last chunk   adder tree

    Parameters
    ----------
    config : CoreConfig
        The core; P is ``config.lanes``.
    fields : mapping
        Descriptor fields (:func:`sparta_hw.descriptor.decode`); only ``chunks`` counts.
    topk : int
        K, tokens that attend, at least 1.
    """
    lanes, rows = config.lanes, topk * fields["chunks"]
    adder_tree = ((lanes - 1).bit_length() + 1) // 2
    pipeline = _COMPARE + adder_tree + _MIX + _NORMALISE
    return rows + rows * max(topk, lanes) + min(topk, lanes) + pipeline
