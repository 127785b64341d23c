"""The SELECT unit: score all tokens, rank them, keep the K best in the token list."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.cues import cue_sums_layout
from sparta_rtl.layouts import descriptor_layout
from sparta_rtl.memory import BlockRam, ReadPort, WritePort
from sparta_rtl.score import CUES, TABLE_ENTRY_BITS, ScoreUnit
from sparta_rtl.topk import TopKParams

__all__ = ["SelectUnit"]


class SelectUnit(wiring.Component):
    """Scores tokens 0 to N - 1 and writes the K best, in rank order, into the token list (paper "SC").

    Parameters
    ----------
    config : CoreConfig
        ``max_topk`` is the length of the token list and the number of sorter cells.

    Members
    -------
    start, done : In(1), Out(1)
    layer : In(descriptor_layout(Op.SELECT))
    topk : In(range(max_topk + 1))
        K, 1 to min(N, max_topk); the core clamps it.
    sums : Out(ReadPort(max_tokens, cue_sums_layout(config).size))
        The cue unit's memory.
    tables : In(WritePort(silent_cue + 1, 64))
        Score tables, see :class:`~sparta_rtl.score.ScoreUnit`.
    tokens, scores : In(ReadPort(max_topk, bits of a token index)), In(ReadPort(max_topk, score_bits))
        Token list: index and score (two's complement) of the token of a rank.
    selected : Out(max_tokens)
        Bit i: token i is in the list. Valid from ``done`` to the next ``start``.
    score_valid, score_token, score_value : Out(1), Out(range(max_tokens)), Out(signed(score_bits))
        Trace: a token has its score.
    select_valid, select_rank, select_token : Out(1), Out(range(max_topk)), Out(range(max_tokens))
        Trace: a token enters the list.

    Notes
    -----
    ``cycles = N * (q + 1) + K + 7``, q = bits of ``silent_cue`` (``sparta_sim/cycles/select.py``).
    """

    start: Signal
    done: Signal
    layer: Signal
    topk: Signal
    sums: wiring.PureInterface
    tables: wiring.PureInterface
    tokens: wiring.PureInterface
    scores: wiring.PureInterface
    selected: Signal
    score_valid: Signal
    score_token: Signal
    score_value: Signal
    select_valid: Signal
    select_rank: Signal
    select_token: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        self._token_bits = unsigned_bits(config.max_tokens - 1)
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "layer": In(descriptor_layout(Op.SELECT)),
                "topk": In(range(config.max_topk + 1)),
                "sums": Out(ReadPort(config.max_tokens, cue_sums_layout(config).size)),
                "tables": In(WritePort(config.silent_cue + 1, TABLE_ENTRY_BITS * len(CUES))),
                "tokens": In(ReadPort(config.max_topk, self._token_bits)),
                "scores": In(ReadPort(config.max_topk, config.score_bits)),
                "selected": Out(config.max_tokens),
                "score_valid": Out(1),
                "score_token": Out(range(config.max_tokens)),
                "score_value": Out(signed(config.score_bits)),
                "select_valid": Out(1),
                "select_rank": Out(range(config.max_topk)),
                "select_token": Out(range(config.max_tokens)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        params = TopKParams(cells=config.max_topk, key_bits=config.score_bits, index_bits=self._token_bits)
        m.submodules.score = score = ScoreUnit(config)
        m.submodules.sorter = sorter = params.create()
        m.submodules.token_list = token_list = BlockRam(config.max_topk, self._token_bits)
        m.submodules.score_list = score_list = BlockRam(config.max_topk, config.score_bits)
        wiring.connect(m, score.sums, wiring.flipped(self.sums))
        wiring.connect(m, wiring.flipped(self.tables), score.tables)
        wiring.connect(m, wiring.flipped(self.tokens), token_list.read)
        wiring.connect(m, wiring.flipped(self.scores), score_list.read)

        scored, ranked = score.o.payload, sorter.o.payload
        m.d.comb += [
            score.start.eq(self.start),
            score.tokens.eq(self.layer.tokens),
            score.channels.eq(self.layer.channels),
            score.steps.eq(self.layer.steps),
            sorter.clear.eq(self.start),
            sorter.i.valid.eq(score.o.valid),
            sorter.i.payload.key.eq(scored.value),
            sorter.i.payload.index.eq(scored.token),
            sorter.emit.eq(score.o.valid & scored.last),
            sorter.count.eq(self.topk),
            token_list.write.en.eq(sorter.o.valid),
            token_list.write.addr.eq(ranked.rank),
            token_list.write.data.eq(ranked.token.index),
            score_list.write.en.eq(sorter.o.valid),
            score_list.write.addr.eq(ranked.rank),
            score_list.write.data.eq(ranked.token.key),
            self.score_valid.eq(score.o.valid),
            self.score_token.eq(scored.token),
            self.score_value.eq(scored.value),
            self.select_valid.eq(sorter.o.valid),
            self.select_rank.eq(ranked.rank),
            self.select_token.eq(ranked.token.index),
        ]
        m.d.sync += self.done.eq(sorter.o.valid & ranked.last)
        with m.If(self.start):
            m.d.sync += self.selected.eq(0)
        with m.Elif(sorter.o.valid):
            m.d.sync += self.selected.bit_select(ranked.token.index, 1).eq(1)
        return m
