"""Pieces of a pipeline: delay lines, saturation, and a pipelined sum."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike, signed

__all__ = ["adder_tree", "chosen_by", "delay", "is_next", "last_of", "saturate"]


def delay(m: Module, value: ValueLike, cycles: int, enable: ValueLike = 1) -> Value:
    """``value`` of ``cycles`` cycles ago, counting only those in which ``enable`` is high; zero at first, not reset."""
    line = Value.cast(value)
    for _ in range(cycles):
        stage = Signal(line.shape(), reset_less=True)
        with m.If(enable):
            m.d.sync += stage.eq(line)
        line = stage
    return line


def chosen_by(index: Value, values: Sequence[Value]) -> Value:
    """``values[index]`` as a tree, in which each bit of ``index`` chooses; its number is a power of two."""
    for bit in index:
        values = [Mux(bit, odd, even) for even, odd in zip(values[::2], values[1::2], strict=True)]
    return values[0]


def is_next(before: Value, after: Value) -> Value:
    """``after == before + 1``, without a carry chain.

    Bits change up to the lowest zero of ``before``: each one does if the one below it goes from one to zero.
    """
    size = max(len(before), len(after)) + 1
    a, b = (
        [*value, *[value[-1] if value.shape().signed else Const(0, 1)] * size][:size]
        for value in (before, after)
    )
    changes = [x ^ y for x, y in zip(a, b, strict=True)]
    return Cat(changes[0], *(c == (x & ~y) for c, x, y in zip(changes[1:], a, b, strict=False))).all()


def last_of(m: Module, counter: Value, limit: Value, step: ValueLike, again: ValueLike) -> Signal:
    """Register that is high while ``counter`` is at ``limit``: it goes up with ``step``, and from there to zero.

    ``again`` is what it becomes with the step to zero: whether the next limit is zero.
    """
    last = Signal()
    with m.If(step):
        m.d.sync += last.eq(Mux(last, again, is_next(counter, limit)))
    return last


def saturate(value: Value, bits: int) -> Value:
    """The two's complement integer of ``bits`` bits that is nearest to the signed ``value``."""
    if len(value) <= bits:
        return value
    sign, head = value[-1], value[bits - 1 :]
    limit = Cat((~sign).replicate(bits - 1), sign)
    return Mux(head.all() | ~head.any(), value[:bits], limit).as_signed()


def adder_tree(m: Module, terms: Sequence[Value]) -> tuple[Value, int]:
    """Sum of signed ``terms`` of one width, four at a time, with registers after every four.

    Returns
    -------
    sum : signed Value
        Wide enough to be exact.
    cycles : int
        Latency, ``ceil(log4(len(terms)))``.
    """
    level, cycles = list(terms), 0
    while len(level) > 1:
        width, cycles = len(level[0]) + 2, cycles + 1
        sums = []
        for first in range(0, len(level), 4):
            total = Signal(signed(width), reset_less=True)
            m.d.sync += total.eq(sum(level[first : first + 4], Const(0, 1)))
            sums.append(total)
        level = sums
    return level[0], cycles
