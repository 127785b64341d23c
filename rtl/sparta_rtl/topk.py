"""Top-K selection: a systolic insertion sorter of scored tokens (paper "SC": top-K by priority)."""

from collections.abc import Iterable
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["TopKParams", "TopKSorter"]


@dataclass(frozen=True, kw_only=True)
class TopKParams:
    """Size of one sorter.

    Parameters
    ----------
    cells : int
        Largest K, at least 1.
    key_bits : int
        Bits of one signed key, at least 2.
    index_bits : int
        Bits of one index, at least 1.
    """

    cells: int
    key_bits: int
    index_bits: int

    def __post_init__(self) -> None:
        for name, low in (("cells", 1), ("key_bits", 2), ("index_bits", 1)):
            value = getattr(self, name)
            if value < low:
                raise ValueError(f"{name} must be at least {low}, not {value}")

    @property
    def token_layout(self) -> data.StructLayout:
        """One scored token."""
        return data.StructLayout({"key": signed(self.key_bits), "index": unsigned(self.index_bits)})

    @property
    def ranked_layout(self) -> data.StructLayout:
        """One selected token: ``last`` marks the K-th one."""
        return data.StructLayout({"rank": range(self.cells), "token": self.token_layout, "last": 1})

    def compute(self, keys: Iterable[int], count: int) -> list[int]:
        """Indices of the ``count`` largest keys in rank order; of equal keys the lower index ranks first."""
        ordered = list(keys)
        if not 1 <= count <= min(self.cells, len(ordered)):
            raise ValueError(f"K must be 1 to {min(self.cells, len(ordered))}, not {count}")
        return sorted(range(len(ordered)), key=lambda index: (-ordered[index], index))[:count]

    def create(self) -> "TopKSorter":
        """Hardware that agrees with :meth:`compute` bit for bit."""
        return TopKSorter(self)


def _offset_binary(key: Value) -> Value:
    """Unsigned number in the order of the signed ``key``: comparing these is one carry chain."""
    return Cat(key[:-1], ~key[-1])


class TopKSorter(wiring.Component):
    """Keeps the ``cells`` best tokens of a stream, one token per cycle, then streams the K best of them.

    Cell r holds rank r. A token walks from cell to cell, one per cycle; the first cell whose token is smaller
    takes it and sends its own on, and from there on every cell hands its token to the next one. Comparison is
    strict and tokens arrive in index order, so that equal keys rank by lower index. A handed-on token is not
    compared: it was ahead of all that follow. Wires only join neighbours, whatever the number of cells.

    Parameters
    ----------
    params : TopKParams

    Members
    -------
    clear : In(1)
        Forget all tokens, those that walk included.
    i : In(stream.Signature(params.token_layout, always_ready=True))
        Tokens in ascending order of index.
    emit : In(1)
        Begin to stream results: with the last token or any time after it.
    count : In(range(cells + 1))
        K, sampled with ``emit``: 1 to the number of tokens that came.
    o : Out(stream.Signature(params.ranked_layout, always_ready=True))
        Rank r in cycle r + 2 after ``emit``.
    """

    clear: Signal
    i: stream.Interface
    emit: Signal
    count: Signal
    o: stream.Interface

    def __init__(self, params: TopKParams) -> None:
        self.params = params
        super().__init__(
            {
                "clear": In(1),
                "i": In(stream.Signature(params.token_layout, always_ready=True)),
                "emit": In(1),
                "count": In(range(params.cells + 1)),
                "o": Out(stream.Signature(params.ranked_layout, always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout, cells = self.params.token_layout, self.params.cells
        held = [Signal(layout, name=f"held{cell}", reset_less=True) for cell in range(cells)]
        token, valid, displaced = self.i.payload, self.i.valid, Value.cast(0)
        for cell in range(cells):
            taken, ahead = Signal(name=f"taken{cell}"), Signal(name=f"ahead{cell}")
            following = Signal(layout, name=f"token{cell + 1}", reset_less=True)
            following_valid = Signal(name=f"valid{cell + 1}")
            following_displaced = Signal(name=f"displaced{cell + 1}")
            m.d.comb += ahead.eq(displaced | (_offset_binary(token.key) > _offset_binary(held[cell].key)))
            m.d.sync += [
                taken.eq(~self.clear & (taken | valid)),
                following_valid.eq(~self.clear & valid & taken),
                following_displaced.eq(ahead),
                following.eq(Mux(ahead, held[cell], token)),
            ]
            with m.If(valid & (ahead | ~taken)):
                m.d.sync += held[cell].eq(token)
            token, valid, displaced = following, following_valid, following_displaced

        rank, left = Signal(range(cells)), Signal.like(self.count)
        with m.If(self.emit):
            m.d.sync += [rank.eq(0), left.eq(self.count)]
        with m.Elif(left != 0):
            m.d.sync += [rank.eq(rank + 1), left.eq(left - 1)]
        m.d.sync += [
            self.o.valid.eq(left != 0),
            self.o.payload.rank.eq(rank),
            self.o.payload.last.eq(left == 1),
            self.o.payload.token.eq(Cat(held).word_select(rank, layout.size)),
        ]
        return m
