"""Cycles of an ATTEND descriptor, from ``start`` to ``done``."""

from collections.abc import Mapping

from sparta_hw.config import CoreConfig

__all__ = ["attend_cycles"]

_COMPARE = 12
"""start, operands in two steps, products, dot product, shift, saturation, sharpness, mask, saturation, row memory,
row queue."""
_MIX = 7
"""Similarity, distance, exponential, weight in two steps, product, sum."""
_NORMALISE = 7
"""Exponent, mantissa, reciprocal in two steps, partial products, product, quotient."""
_QUEUE = 2
"""Results' memory, its output."""


def attend_cycles(config: CoreConfig, fields: Mapping[str, int], topk: int) -> int:
    """Clock cycles of all heads when nothing stalls the unit's output but the token writer.

    The first row is compared; then each chunk of P features of a row is mixed in K cycles, divided in P, and
    written to the spike memory in p = ceil(8 / S) if it becomes tokens (p = -1 if it goes to the pool). These
    overlap, so that chunks, ``pitch`` of them a token, follow one another at the pace of the slowest::

        K * chunks  +  (K * pitch - 1) * max(K, P, p)  +  K + P + p + 1  +  ceil(log4 P) + 28
        first row      chunks but the last                last chunk        pipeline

    Parameters
    ----------
    config : CoreConfig
        The core; P is ``config.lanes``.
    fields : mapping
        Descriptor fields (:func:`sparta_hw.descriptor.decode`); ``pitch``, ``chunks`` and ``to_tokens`` count.
    topk : int
        K, tokens that attend, at least 1.
    """
    lanes = config.lanes
    written = config.groups(config.token_bits) if fields["to_tokens"] else -1
    adder_tree = ((lanes - 1).bit_length() + 1) // 2
    pipeline = _COMPARE + adder_tree + _MIX + _NORMALISE + _QUEUE
    last_chunk = topk + lanes + written + 1
    first_row, chunks = topk * fields["chunks"], topk * fields["pitch"]
    return first_row + (chunks - 1) * max(topk, lanes, written) + last_chunk + pipeline
