"""How a line of integers looks in the spike memory (ARCHITECTURE.md, "Words")."""

from amaranth.hdl import Cat, Const, Value
from amaranth.lib import data

from sparta_hw.config import CoreConfig

__all__ = ["plane_lines"]


def plane_lines(config: CoreConfig, values: data.View) -> list[Value]:
    """The ``ceil(bits / S)`` lines of L integers: plane t, the most significant bit first, is step t.

    Parameters
    ----------
    config : CoreConfig
        L entries of S bits make a line.
    values : View of ArrayLayout(bits, L)
        One integer an entry.
    """
    bits = len(values[0])
    steps = config.groups(bits) * config.steps
    words = [Cat(Value.cast(value)[::-1], Const(0, steps - bits)) for value in values]
    return [
        Cat(word.word_select(group, config.steps) for word in words) for group in range(config.groups(bits))
    ]
