"""Top-K selection (paper "SC": top-K by priority): what all units for it have in common."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from amaranth.hdl import Cat, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.numerics import unsigned_bits

__all__ = ["TopKParams", "TopKUnit", "offset_binary"]


@dataclass(frozen=True, kw_only=True)
class TopKParams:
    """Size of one selection.

    Parameters
    ----------
    tokens : int
        Largest N, at least 1.
    cells : int
        Largest K, 1 to ``tokens``.
    key_bits : int
        Bits of one signed key, at least 2.
    """

    tokens: int
    cells: int
    key_bits: int

    def __post_init__(self) -> None:
        for name, low in (("tokens", 1), ("cells", 1), ("key_bits", 2)):
            value = getattr(self, name)
            if value < low:
                raise ValueError(f"{name} must be at least {low}, not {value}")
        if self.cells > self.tokens:
            raise ValueError(f"cells must be at most tokens ({self.tokens}), not {self.cells}")

    @property
    def index_bits(self) -> int:
        """Bits of the index of a token."""
        return unsigned_bits(self.tokens - 1)

    @property
    def ranked_layout(self) -> data.StructLayout:
        """One selected token: ``last`` marks the K-th one."""
        return data.StructLayout({"rank": range(self.cells), "index": unsigned(self.index_bits), "last": 1})

    def compute(self, keys: Iterable[int], count: int) -> list[int]:
        """Indices of the ``count`` largest keys in rank order; of equal keys the lower index ranks first."""
        ordered = list(keys)
        if not 1 <= count <= min(self.cells, len(ordered)):
            raise ValueError(f"K must be 1 to {min(self.cells, len(ordered))}, not {count}")
        return sorted(range(len(ordered)), key=lambda index: (-ordered[index], index))[:count]


def offset_binary(key: Value) -> Value:
    """Unsigned number in the order of the signed ``key``: comparing these is one carry chain."""
    return Cat(key[:-1], ~key[-1])


class TopKUnit(wiring.Component):
    """Selects the K best tokens of a stream; of equal ones those of lower index. One token a cycle in, one out.

    Parameters
    ----------
    params : TopKParams
    outputs : mapping of str to wiring.Member
        Ports of the unit that others do not have.

    Members
    -------
    clear : In(1)
        Forget all tokens, and stop.
    i : In(stream.Signature(signed(key_bits), always_ready=True))
        Key of each token, that of token 0 first.
    emit : In(1)
        Begin to list the selected tokens: with the last token or any time after it. No token may come then.
    count : In(range(cells + 1))
        K, sampled with ``emit``: 1 to the number of tokens that came.
    o : Out(stream.Signature(params.ranked_layout, always_ready=True))
        Selected token k in cycle ``first_cycles(params, N, K) + k`` after ``emit``.
    """

    clear: Signal
    i: stream.Interface
    emit: Signal
    count: Signal
    o: stream.Interface

    def __init__(self, params: TopKParams, outputs: Mapping[str, wiring.Member] | None = None) -> None:
        self.params = params
        members = {
            "clear": In(1),
            "i": In(stream.Signature(signed(params.key_bits), always_ready=True)),
            "emit": In(1),
            "count": In(range(params.cells + 1)),
            "o": Out(stream.Signature(params.ranked_layout, always_ready=True)),
        }
        super().__init__(members | dict(outputs or {}))

    @staticmethod
    def first_cycles(params: TopKParams, tokens: int, count: int) -> int:
        """Clock cycles from ``emit`` to the first of ``count`` selected tokens out of ``tokens``."""
        raise NotImplementedError
