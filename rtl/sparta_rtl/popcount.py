"""How many bits are set: four at a time, then a balanced tree of adders."""

from amaranth.hdl import Array, Const, Value

__all__ = ["popcount"]

_ONES = tuple(n.bit_count() for n in range(16))


def popcount(bits: Value) -> Value:
    """Number of ones in ``bits``, combinational: one look-up, and ``ceil(log2(len(bits) / 4))`` adders deep."""
    terms: list[Value] = [_count(bits[n : n + 4]) for n in range(0, len(bits), 4)]
    while len(terms) > 1:
        pairs = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(pairs) * 2 :]
    return terms[0] if terms else Const(0)


def _count(bits: Value) -> Value:
    """Of at most four bits."""
    return Value.cast(Array(_ONES[: 1 << len(bits)])[bits])
