"""Second half of a radix selection: compare all keys with the threshold, list the tokens that reach it."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.numerics import unsigned_bits
from sparta_rtl.memory import BlockRam
from sparta_rtl.topk import TopKParams

__all__ = ["LANES", "LIST_CYCLES", "SelectedRows"]

LANES = 4
"""Keys in one row, compared at once; a power of two."""

LIST_CYCLES = 9
"""From ``start`` to the index of a token in the first row, if it is listed at once."""


class SelectedRows(wiring.Component):
    """Keeps the keys of N tokens, a row of 4 at one address, and lists the K that reach a threshold, by index.

    Rows are compared one a cycle; those with a selected token queue up, and leave one token a cycle. N - K tokens
    are not selected, so the k-th selected one is at most the (N - K + k)-th token: when the listing begins with row
    ``(N - K) // 4`` it never waits. Its time depends on N and K, and not on the keys.

    Parameters
    ----------
    params : TopKParams
    key_bits : int
        Bits of a stored key.

    Members
    -------
    clear : In(1)
        Forget all tokens, and stop.
    valid, key : In(1), In(key_bits)
        A token's key, unsigned, in ascending order of index.
    start : In(1)
        All N tokens have come, before the cycle before: list the selected ones.
    count : In(range(cells + 1))
        K, 1 to N; stable from the cycle before ``start`` on.
    threshold, ties : In(key_bits), In(signed(bits of N + 1))
        Select greater keys, and the first ``ties + 1`` equal ones: K in all. Stable from the cycle after ``start`` on.
    o : Out(stream.Signature(params.ranked_layout, always_ready=True))
        The k-th token of them in cycle ``(N - K) // 4 + 9 + k`` after ``start``.
    """

    clear: Signal
    valid: Signal
    key: Signal
    start: Signal
    count: Signal
    threshold: Signal
    ties: Signal
    o: stream.Interface

    def __init__(self, params: TopKParams, key_bits: int) -> None:
        self._params, self._depth = params, max(-(-params.tokens // LANES), 2)
        super().__init__(
            {
                "clear": In(1),
                "valid": In(1),
                "key": In(key_bits),
                "start": In(1),
                "count": In(range(params.cells + 1)),
                "threshold": In(key_bits),
                "ties": In(signed(unsigned_bits(params.tokens) + 1)),
                "o": Out(stream.Signature(params.ranked_layout, always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tokens = self._params.tokens
        came = Signal(range(tokens + 1))
        row = Signal(range(self._depth))
        scanning = Signal()
        last_token = Signal.like(came)
        first_row = Signal.like(row)
        m.d.sync += [last_token.eq(came - 1), first_row.eq((came - self.count) // LANES)]

        # A row: read -> fetched -> keys -> compared -> chosen (joins the queue) -> to be had from there.
        tag = data.StructLayout({"valid": 1, "last": 1, "first": 1})
        tags = [Signal(tag, name=f"tag{n}") for n in range(6)]
        rows = [row, *(Signal.like(row, name=f"row{n}") for n in range(1, 5))]
        m.d.comb += [
            tags[0].valid.eq(scanning),
            tags[0].last.eq(row == last_token // LANES),
            tags[0].first.eq(scanning & (row == first_row)),
        ]
        for before, after in pairwise(tags):
            m.d.sync += after.eq(before)
        for before, after in pairwise(rows):
            m.d.sync += after.eq(before)
        m.d.sync += came.eq(came + self.valid)
        with m.If(self.start):
            m.d.sync += [scanning.eq(1), row.eq(0)]
        with m.Elif(scanning):
            m.d.sync += [scanning.eq(~tags[0].last), row.eq(row + 1)]
        with m.If(self.clear):
            m.d.sync += [came.eq(0), scanning.eq(0), *(stage.eq(0) for stage in tags[1:])]

        chosen = self._compare(m, came, row, tags[0].valid, last_token, tags[2])
        self._list(m, rows[4], tags[4].valid, chosen, tags[5].first)
        return m

    def _compare(
        self, m: Module, came: Signal, row: Signal, read: Value, last_token: Signal, fetched: data.View
    ) -> Signal:
        """Selected tokens of the row that was read four cycles ago."""
        greater = Signal(LANES)
        equal = Signal(LANES)
        chosen = Signal(LANES)
        ties = Signal.like(self.ties)
        for lane in range(LANES):
            m.submodules[f"keys{lane}"] = keys = BlockRam(self._depth, len(self.key))
            key, exists = Signal.like(self.key, name=f"key{lane}"), Signal(name=f"exists{lane}")
            m.d.comb += [
                keys.write.en.eq(self.valid & (came % LANES == lane)),
                keys.write.addr.eq(came // LANES),
                keys.write.data.eq(self.key),
                keys.read.en.eq(read),
                keys.read.addr.eq(row),
                exists.eq(fetched.valid & (~fetched.last | (last_token % LANES >= lane))),
            ]
            before = sum(equal[:lane], Const(0, 1))
            m.d.sync += [
                key.eq(keys.read.data),
                greater[lane].eq(exists & (key > self.threshold)),
                equal[lane].eq(exists & (key == self.threshold)),
                chosen[lane].eq(greater[lane] | (equal[lane] & (ties >= before))),
            ]
        m.d.sync += ties.eq(Mux(read & (row == 0), self.ties, ties - sum(equal, Const(0, 1))))
        return chosen

    def _list(self, m: Module, row: Signal, compared: Value, chosen: Signal, begin: Value) -> None:
        """Queue rows with a selected token, and take them apart from ``begin`` on."""
        queued = data.StructLayout({"tokens": LANES, "row": row.shape()})
        m.submodules.queue = queue = BlockRam(self._depth, queued.size)
        pushed = Signal.like(row)
        popped = Signal.like(row)
        following = Signal.like(row)
        head = data.View(queued, queue.read.data)
        current = Signal(queued)
        take = Signal()
        listing = Signal()
        rank = Signal(range(self._params.cells))
        left = Signal.like(self.count)
        rest = Signal(LANES)
        load = Signal()
        m.d.comb += [
            queue.write.en.eq(compared & chosen.any()),
            queue.write.addr.eq(pushed),
            queue.write.data.eq(Cat(chosen, row)),
            rest.eq(current.tokens & (current.tokens - 1)),
            load.eq(take | (listing & (rest == 0))),
            following.eq(popped + 1),
            queue.read.addr.eq(Mux(load, following, popped)),
            queue.read.en.eq(~queue.write.en | (queue.read.addr != pushed)),
        ]
        lane = Signal(range(LANES))
        for n in reversed(range(LANES)):
            with m.If(current.tokens[n]):
                m.d.comb += lane.eq(n)
        m.d.sync += [
            take.eq(begin),
            pushed.eq(pushed + queue.write.en),
            popped.eq(queue.read.addr),
            current.tokens.eq(rest),
            self.o.valid.eq(listing),
            self.o.payload.rank.eq(rank),
            self.o.payload.index.eq(Cat(lane, current.row)),
            self.o.payload.last.eq(left == 1),
        ]
        with m.If(load):
            m.d.sync += current.eq(head)
        with m.If(take):
            m.d.sync += [listing.eq(1), rank.eq(0), left.eq(self.count)]
        with m.Elif(listing):
            m.d.sync += [listing.eq(left != 1), rank.eq(rank + 1), left.eq(left - 1)]
        with m.If(self.start | self.clear):
            m.d.sync += [pushed.eq(0), popped.eq(0), take.eq(0), listing.eq(0), self.o.valid.eq(0)]
