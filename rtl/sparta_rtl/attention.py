"""Sparse attention among the K selected tokens: the unit, and its arithmetic as a NumPy function."""

import numpy as np
from amaranth.hdl import Array, Cat, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE
from sparta_rtl.heads import walk_heads
from sparta_rtl.layouts import descriptor_layout, mask_layout
from sparta_rtl.memory import BlockRam, ReadPort, WritePort
from sparta_rtl.normalise import Normaliser
from sparta_rtl.pipeline import delay, last_of
from sparta_rtl.similarity import SimilarityPass
from sparta_rtl.softmax import MixPass

__all__ = ["AttentionUnit", "attend", "attention_layout"]

IntArray = NDArray[np.int64]

_COMPARE_LATENCY = 15
"""Cycles, at most, from a freed slot to the next row's maximum, besides K * chunks."""
_CHUNK_LATENCY = 25
"""Cycles, at most, from a chunk's begin to the one in which another may take its room, besides K and P."""


def attend(
    query: IntArray, key: IntArray, value: IntArray, mask: IntArray, sharpness: IntArray, shift: int
) -> IntArray:
    """Base-2 softmax attention of one head in integers ("Attention layer l" of ARCHITECTURE.md; paper MSP and SC).

    Parameters
    ----------
    query, key, value : int array (K, D)
        s8, in rank order.
    mask, sharpness : int array (K,)
        MSP scores s12.4 and factors u8.6 of the tokens, in rank order.
    shift : int
        Right shift of a dot product onto the score grid.

    Returns
    -------
    int array (K, D)
        s8, on the grid of ``value``.
    """
    dot = np.clip(query @ key.T >> shift, -2048, 2047)
    z = np.clip((dot * sharpness[:, None] >> 6) + mask, -2048, 2047)
    distance = z.max(axis=1, keepdims=True) - z
    weight = np.array(EXP_TABLE)[distance & 15] >> np.minimum(distance >> 4, 15)
    total = weight.sum(axis=1, keepdims=True)
    exponent = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1
    reciprocal = np.array(RECIPROCAL_TABLE)[((total << 7) >> exponent) - 128]
    return np.clip((weight @ value * reciprocal) >> (exponent + 8), -128, 127)


def attention_layout(config: CoreConfig) -> data.StructLayout:
    """One attention value: rank of its token, feature = chunk * P + lane, and the value s8."""
    features = config.lanes * -(-config.max_features // config.lanes)
    return data.StructLayout(
        {
            "rank": Shape.cast(range(config.max_topk)),
            "feature": Shape.cast(range(features)),
            "value": signed(config.weight_bits),
        }
    )


class AttentionUnit(wiring.Component):
    """Sparse attention, head by head, with 2 P multipliers: while one row is mixed, the next ones are compared.

    Hardware of :func:`attend`. A memory holds the similarities of some rows on their way to the exponentials;
    a finished chunk of P sums is divided lane by lane while the next one is mixed. The results wait in a queue;
    a chunk is begun when it has room for all of them, so that nothing else ever waits::

        cycles = K * chunks + K * pitch * max(K, P) + min(K, P) + ceil(log4 P) + 28

    when ``o`` never stalls (``sparta_sim/cycles/attention.py``): the first row's similarities, then the chunks of
    all heads' K rows, that take K cycles each, or P where division is slower, and the pipeline.

    Parameters
    ----------
    config : CoreConfig
        Size of the core.

    Members
    -------
    start : In(1)
        Begin; queries, keys, values and masks are in their memories.
    done : Out(1)
        The last result has been accepted.
    layer : In(descriptor_layout(Op.ATTEND))
        ``pitch``, ``chunks`` and ``shift``; stable while busy.
    topk : In(range(max_topk + 1))
        K, at least 1; stable while busy.
    masks : Out(ReadPort(max_topk, mask_layout(config).size))
        Token list, rank -> mask and sharpness.
    query, key, value : In(WritePort(rows, lanes * 8))
        Memories of the unit, row = rank * pitch + chunk; not written while busy.
    o : Out(stream.Signature(attention_layout(config)))
        All K * pitch * P values in head, rank, feature order.
    """

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        self._rows = config.max_topk * -(-config.max_features // config.lanes)
        token = WritePort(self._rows, config.lanes * config.weight_bits)
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "layer": In(descriptor_layout(Op.ATTEND)),
                "topk": In(range(config.max_topk + 1)),
                "masks": Out(ReadPort(config.max_topk, mask_layout(config).size)),
                "query": In(token),
                "key": In(token),
                "value": In(token),
                "o": Out(stream.Signature(attention_layout(config))),
            }
        )

    @property
    def slots(self) -> int:
        """Rows of similarities kept, so that mixing (P cycles a row, or more) never waits for comparing."""
        slots = 4
        while (slots - 2) * self._config.lanes < _COMPARE_LATENCY:
            slots *= 2
        return slots

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, slots = self._config, self.slots
        m.submodules.compare = compare = SimilarityPass(config, self._rows, slots)
        m.submodules.mix = mix = MixPass(config, self._rows, slots)
        m.submodules.normalise = normalise = Normaliser(config)
        m.submodules.similarity = similarity = BlockRam(compare.similarity_rows, config.score_bits)
        for name, reader in (("query", compare), ("key", compare), ("value", mix)):
            m.submodules[name] = memory = BlockRam(self._rows, config.lanes * config.weight_bits)
            wiring.connect(m, wiring.flipped(getattr(self, name)), memory.write)
            wiring.connect(m, getattr(reader, name), memory.read)
        wiring.connect(m, compare.masks, wiring.flipped(self.masks))
        wiring.connect(m, compare.similarity, similarity.write)
        wiring.connect(m, mix.similarity, similarity.read)
        wiring.connect(m, mix.o, normalise.i)
        chunks = self._chunks_under_way
        m.submodules.results = results = fifo.SyncFIFOBuffered(
            width=config.weight_bits, depth=chunks * config.lanes
        )
        room = Signal(range(chunks + 1), init=chunks)
        room_next = Signal(range(chunks + 1))
        m.d.comb += [
            compare.start.eq(self.start),
            Value.cast(compare.layer).eq(Value.cast(self.layer)),
            compare.topk.eq(self.topk),
            compare.freed.eq(mix.rows.valid & mix.rows.ready),
            mix.start.eq(self.start),
            Value.cast(mix.layer).eq(Value.cast(self.layer)),
            mix.topk.eq(self.topk),
            mix.room.eq(room_next != 0),
            results.w_en.eq(normalise.o.valid),
            results.w_data.eq(normalise.o.payload),
        ]
        self._queue(m, compare.rows, mix.rows)
        left = self._number(m, results.r_stream)
        m.d.comb += room_next.eq(room + delay(m, left, 1) - mix.begins)
        m.d.sync += room.eq(room_next)
        return m

    def _queue(self, m: Module, i: stream.Interface, o: stream.Interface) -> None:
        """Hold the maxima of rows that are compared and not yet mixed, at most one a slot."""
        maxima = Array(
            Signal.like(i.payload, name=f"maximum_{slot}", reset_less=True) for slot in range(self.slots)
        )
        newest = Signal(range(self.slots))
        oldest = Signal(range(self.slots))
        level = Signal(range(self.slots + 1))
        taken = Signal()
        level_next = Signal.like(level)
        m.d.comb += [
            o.payload.eq(maxima[oldest]),
            taken.eq(o.valid & o.ready),
            level_next.eq(level + i.valid - taken),
        ]
        m.d.sync += [
            newest.eq(newest + i.valid),
            oldest.eq(oldest + taken),
            level.eq(level_next),
            o.valid.eq(level_next != 0),
        ]
        with m.If(i.valid):
            m.d.sync += maxima[newest].eq(i.payload)

    @property
    def _chunks_under_way(self) -> int:
        """So many that one can begin every max(K, P) cycles."""
        return 2 + -(-_CHUNK_LATENCY // self._config.lanes)

    def _number(self, m: Module, values: stream.Interface) -> Value:
        """Give each value its rank and feature; done after the last one. High when a chunk's last value leaves."""
        config, item = self._config, self.o.payload
        rank = Signal.like(item.rank)
        last_rank = Signal.like(item.rank)
        lane = Signal(range(config.lanes))
        last_lane = Signal()
        chunk = Signal.like(self.layer.chunks)
        place = Signal(len(item.feature) - len(lane))
        accepted = Signal()
        chunk_ends = Signal()
        rank_step = Signal()
        head_ends = Signal()
        head = walk_heads(m, self.layer, self.start, head_ends)
        last_of_heads = last_of(m, rank, last_rank, rank_step, last_rank == 0)
        single = Mux(last_of_heads, head.next_single, head.last_chunk == 0)
        last_chunk = last_of(m, chunk, head.last_chunk, chunk_ends, single)
        last_of_head = delay(m, last_chunk & last_of_heads, 1)  # chunks end at least two cycles apart
        m.d.comb += [
            self.o.valid.eq(values.valid),
            item.rank.eq(rank),
            item.feature.eq(Cat(lane, place)),
            item.value.eq(values.payload),
            values.ready.eq(self.o.ready),
            accepted.eq(self.o.valid & self.o.ready),
            chunk_ends.eq(accepted & last_lane),
            rank_step.eq(accepted & (last_lane & last_chunk)),
            head_ends.eq(accepted & (last_lane & last_of_head)),
        ]
        with m.If(accepted):
            m.d.sync += last_lane.eq(lane == config.lanes - 2)
        m.d.sync += [
            lane.eq(lane + accepted),
            chunk.eq(chunk + chunk_ends),
            place.eq(place + chunk_ends),
            self.done.eq(head_ends & head.last),
        ]
        with m.If(rank_step):
            m.d.sync += [chunk.eq(0), place.eq(head.base), rank.eq(Mux(last_of_heads, 0, rank + 1))]
        with m.If(head_ends):
            m.d.sync += place.eq(head.following)
        with m.If(self.start):
            m.d.sync += [
                place.eq(0),
                last_rank.eq(self.topk - 1),
                last_of_heads.eq(self.topk == 1),
                last_chunk.eq(self.layer.chunks == 1),
            ]
        return chunk_ends
