"""How many bits are set: a balanced tree of adders."""

from amaranth.hdl import Const, Value

__all__ = ["popcount"]


def popcount(bits: Value) -> Value:
    """Number of ones in ``bits``, combinational, ``ceil(log2(len(bits)))`` adders deep."""
    terms: list[Value] = list(bits)
    while len(terms) > 1:
        pairs = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(pairs) * 2 :]
    return terms[0] if terms else Const(0)
