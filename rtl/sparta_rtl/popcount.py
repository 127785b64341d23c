"""How many bits are set: balanced trees of look-ups."""

from amaranth.hdl import Array, Const, Value

__all__ = ["at_most_one", "popcount"]

_ONES = tuple(n.bit_count() for n in range(16))


def popcount(bits: Value) -> Value:
    """Number of ones in ``bits``, combinational: one look-up, and ``ceil(log2(len(bits) / 4))`` adders deep."""
    terms: list[Value] = [_count(bits[n : n + 4]) for n in range(0, len(bits), 4)]
    while len(terms) > 1:
        pairs = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(pairs) * 2 :]
    return terms[0] if terms else Const(0)


def at_most_one(bits: Value) -> Value:
    """Whether no more than one bit is set, combinational: ``ceil(log2(len(bits)))`` look-ups deep at most."""
    parts = [(bit, Const(0, 1)) for bit in bits]
    while len(parts) > 1:
        pairs = [
            (any_a | any_b, more_a | more_b | (any_a & any_b))
            for (any_a, more_a), (any_b, more_b) in zip(parts[::2], parts[1::2], strict=False)
        ]
        parts = pairs + parts[len(pairs) * 2 :]
    return ~parts[0][1]


def _count(bits: Value) -> Value:
    """Of at most four bits."""
    return Value.cast(Array(_ONES[: 1 << len(bits)])[bits])
