"""The RANK unit: order tokens by rate, MSP score, fused score or priority, and list the best ones."""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import MlpSet, Op, RankBy
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.layouts import descriptor_layout, mask_layout, record_layout
from sparta_rtl.memory import BlockRam, ReadPort, WritePort
from sparta_rtl.pipeline import delay
from sparta_rtl.spatial import NEIGHBOURS
from sparta_rtl.token_mlp import MLP_ROW_BITS
from sparta_rtl.token_reader import TokenReader
from sparta_rtl.token_scorer import TokenScorer
from sparta_rtl.topk import TopKUnit
from sparta_rtl.topk_choice import TopKChoice
from sparta_rtl.topk_units import topk_unit

__all__ = ["FACTOR_BITS", "FACTOR_ROWS", "MLP_PERIOD", "SPATIAL_PERIOD", "RankUnit"]

FACTOR_ROWS, FACTOR_BITS = 256, 32
"""Factor tables as the host writes them: TIMING, TEMPERATURE, K_TABLE from bits 0, 8 and 16 on."""

MLP_PERIOD, SPATIAL_PERIOD = CoreConfig.hidden_units, len(NEIGHBOURS) + 1
"""Cycles from one token to the next one with an MLP, and with centre-surround scores."""


class RankUnit(wiring.Component):
    """Scores one token after the other into the selection unit, then lists the best ones as they come from it.

    RATE fills the group list: grid tokens by rate, from the first one again when there are fewer of them than
    ``groups``. MSP and FUSION choose K, mark the winners and fill the token list; PRIORITY fills it again, with the
    same K. The equations are those of ARCHITECTURE.md, from "Patch grouping" to "Priority".

    Parameters
    ----------
    config : CoreConfig
        ``max_topk`` is the length of the token list and the largest K of the selection unit: RATE needs
        min(tokens, groups) <= max_topk, and a sorter.

    Members
    -------
    start, done, begin : In(1), Out(1), In(1)
        ``begin``: an inference starts; clears ``topk_clamped``.
    layer : In(descriptor_layout(Op.RANK))
    topk_request : In(16)
        K that the host asks for; 0: that of the sparsity MLP.
    topk, topk_clamped : Out(range(max_topk + 1)), Out(1)
        K of the last MSP or FUSION ranking; its request was not 1 to min(N, max_topk).
    records : Out(ReadPort(max_tokens, record_layout(config).size))
    gains : Out(ReadPort(max_tokens, 8))
        Gain of a token, for PRIORITY.
    factors : In(WritePort(256, 32))
        Factor tables, of which TEMPERATURE and K_TABLE count.
    mlp : In(WritePort(24, 64))
        See :class:`~sparta_rtl.token_mlp.TokenMlp`.
    group, tokens, masks : In(ReadPort)
        Group list (max_tokens grid tokens), token list (max_topk tokens), and ``mask_layout(config)`` of the token of
        each rank. Not while the unit works.
    selected : Out(max_tokens)
        Bit i: token i is a winner of the last MSP or FUSION ranking.
    score_valid, score_token : Out(1), Out(range(max_tokens))
        Trace: a token has its score or priority. None for RATE.
    score_value, score_spatial : Out(signed(12)), Out(signed(12))
        They, and the token's centre-surround score or 0.
    select_valid, select_rank, select_token : Out(1), Out(range(max_tokens)), Out(range(max_tokens))
        Trace: an entry of the token list, or of the group list.

    Notes
    -----
    One token a cycle for RATE and MSP, one in 8 with an MLP, one in 9 with its neighbours; one rank a cycle. Exactly:
    ``sparta_sim/cycles/selection.py``.
    """

    start: Signal
    done: Signal
    begin: Signal
    layer: data.View
    topk_request: Signal
    topk: Signal
    topk_clamped: Signal
    records: wiring.PureInterface
    gains: wiring.PureInterface
    factors: wiring.PureInterface
    mlp: wiring.PureInterface
    group: wiring.PureInterface
    tokens: wiring.PureInterface
    masks: wiring.PureInterface
    selected: Signal
    score_valid: Signal
    score_token: Signal
    score_value: Signal
    score_spatial: Signal
    select_valid: Signal
    select_rank: Signal
    select_token: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        self._token_bits = unsigned_bits(config.max_tokens - 1)
        score, token = signed(config.score_bits), range(config.max_tokens)
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "begin": In(1),
                "layer": In(descriptor_layout(Op.RANK)),
                "topk_request": In(16),
                "topk": Out(range(config.max_topk + 1)),
                "topk_clamped": Out(1),
                "records": Out(ReadPort(config.max_tokens, record_layout(config).size)),
                "gains": Out(ReadPort(config.max_tokens, config.gain_bits)),
                "factors": In(WritePort(FACTOR_ROWS, FACTOR_BITS)),
                "mlp": In(WritePort(config.hidden_units * len(MlpSet), MLP_ROW_BITS)),
                "group": In(ReadPort(config.max_tokens, self._token_bits)),
                "tokens": In(ReadPort(config.max_topk, self._token_bits)),
                "masks": In(ReadPort(config.max_topk, mask_layout(config).size)),
                "selected": Out(config.max_tokens),
                "score_valid": Out(1),
                "score_token": Out(token),
                "score_value": Out(score),
                "score_spatial": Out(score),
                "select_valid": Out(1),
                "select_rank": Out(token),
                "select_token": Out(token),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, layer = self._config, self.layer
        m.submodules.selector = selector = topk_unit(config)
        m.submodules.reader = reader = TokenReader(config)
        m.submodules.scorer = scorer = TokenScorer(config)
        m.submodules.choice = choice = TopKChoice(config)
        wiring.connect(m, wiring.flipped(self.mlp), scorer.weights)
        wiring.connect(m, wiring.flipped(self.group), reader.group)
        wiring.connect(m, reader.records, wiring.flipped(self.records))
        wiring.connect(m, reader.gains, wiring.flipped(self.gains))

        # Scores of all tokens go to the selector; then (listing) its results go through the reader to the lists.
        rate = Signal()
        wins = Signal()
        listing = Signal()
        emit = Signal()
        m.d.comb += wins.eq((layer.by == RankBy.MSP) | (layer.by == RankBy.FUSION))
        m.d.sync += rate.eq(layer.by == RankBy.RATE)
        with m.If(self.start):
            m.d.sync += listing.eq(0)
        with m.Elif(emit):
            m.d.sync += listing.eq(1)
        self._last_token = last_token = Signal.like(layer.tokens)
        m.d.sync += last_token.eq(layer.tokens - 1)
        self._read(m, rate, listing, reader, selector)
        self._choose(m, reader.o_valid & ~listing, wins, reader, scorer, choice)

        scored = Signal.like(layer.tokens)
        left = Signal.like(layer.groups)
        last_score = Signal()
        again = Signal()
        round_length = Signal.like(layer.groups)
        more = Signal()
        m.d.sync += [round_length.eq(Mux(left < layer.tokens, left, layer.tokens)), more.eq(left != 0)]
        with m.If(self.start):
            m.d.sync += [scored.eq(0), left.eq(layer.groups)]
        with m.Elif(scorer.o_valid):
            m.d.sync += scored.eq(scored + 1)
        with m.If(selector.emit):
            m.d.sync += left.eq(left - round_length)
        m.d.comb += [
            last_score.eq(scorer.o_valid & (scored == last_token)),
            again.eq(rate & selector.o.valid & selector.o.payload.last & more),
            emit.eq(Mux(choice.deciding, choice.decided, last_score)),
            selector.clear.eq(self.start),
            selector.i.valid.eq(scorer.o_valid),
            selector.i.payload.eq(scorer.key),
            selector.emit.eq(emit | again),
            selector.count.eq(Mux(rate, round_length, choice.topk)),
            self.score_valid.eq(scorer.o_valid & ~rate),
            self.score_token.eq(scored),
            self.score_value.eq(scorer.key),
            self.score_spatial.eq(scorer.spatial),
        ]
        self._list(m, rate, wins, listing, reader, selector, choice)
        return m

    def _read(
        self, m: Module, rate: Signal, listing: Signal, reader: TokenReader, selector: TopKUnit
    ) -> None:
        """Read the records of all tokens, one in a period; then those of the ranked ones as they come."""
        config, layer = self._config, self.layer
        running = Signal()
        spatial = Signal()
        last_slot = Signal(range(SPATIAL_PERIOD))
        token = Signal(range(config.max_tokens))
        slot = Signal(range(SPATIAL_PERIOD))
        m.d.sync += spatial.eq((layer.by == RankBy.FUSION) & layer.spatial)
        with m.Switch(layer.by):
            with m.Case(RankBy.FUSION):
                m.d.sync += last_slot.eq(Mux(layer.spatial, SPATIAL_PERIOD, MLP_PERIOD) - 1)
            with m.Case(RankBy.PRIORITY):
                m.d.sync += last_slot.eq(MLP_PERIOD - 1)
            with m.Default():
                m.d.sync += last_slot.eq(0)
        with m.If(self.start):
            m.d.sync += [running.eq(1), token.eq(0), slot.eq(0)]
        with m.Elif(running & (slot != last_slot)):
            m.d.sync += slot.eq(slot + 1)
        with m.Elif(running):
            m.d.sync += [slot.eq(0), token.eq(token + 1), running.eq(~reader.last)]
        m.d.comb += [
            reader.grouped.eq(layer.grouped & ~rate),
            reader.width.eq(layer.width),
            reader.inhibition.eq(layer.inhibition),
        ]
        with m.If(listing):
            m.d.comb += [
                reader.valid.eq(selector.o.valid & ~rate),
                reader.token.eq(selector.o.payload.index),
                reader.last.eq(selector.o.payload.last),
            ]
        with m.Else():
            m.d.comb += [
                reader.valid.eq(running & (slot == 0)),
                reader.token.eq(token),
                reader.last.eq(token == self._last_token),
                reader.spatial.eq(spatial),
            ]

    def _choose(
        self,
        m: Module,
        fetched: Value,
        wins: Signal,
        reader: TokenReader,
        scorer: TokenScorer,
        choice: TopKChoice,
    ) -> None:
        """Connect the scores and K to the records that were fetched, and both to the MLP."""
        layer = self.layer
        m.d.comb += [
            scorer.layer.eq(layer),
            scorer.valid.eq(fetched),
            scorer.record.eq(reader.record),
            scorer.gain.eq(reader.gain),
            scorer.spatial_done.eq(reader.spatial_done),
            scorer.spatial_score.eq(reader.spatial_score),
            scorer.sparse.eq(choice.sparse),
            scorer.sparse_start.eq(choice.mlp_start),
            scorer.sparse_inputs.eq(choice.mlp_inputs),
            choice.begin.eq(self.begin),
            choice.start.eq(self.start),
            choice.chooses.eq(wins),
            choice.dynamic.eq(layer.dynamic),
            choice.tokens.eq(layer.tokens),
            choice.request.eq(self.topk_request),
            choice.valid.eq(fetched),
            choice.last.eq(reader.o_last),
            choice.record.eq(reader.record),
            choice.mlp_valid.eq(scorer.sparse_valid),
            choice.y.eq(scorer.y),
            self.topk.eq(choice.topk),
            self.topk_clamped.eq(choice.clamped),
        ]

    def _list(
        self,
        m: Module,
        rate: Signal,
        wins: Signal,
        listing: Signal,
        reader: TokenReader,
        selector: TopKUnit,
        choice: TopKChoice,
    ) -> None:
        """Selected tokens to the group list or the token list, their masks when their records are here."""
        config, layer, ranked = self._config, self.layer, selector.o.payload
        mask_type = mask_layout(config)
        factor_type = data.StructLayout({"temperature": config.gain_bits, "topk": len(choice.entry)})
        m.submodules.tokens = tokens = BlockRam(config.max_topk, self._token_bits)
        m.submodules.masks = masks = BlockRam(config.max_topk, mask_type.size)
        m.submodules.factors = factors = BlockRam(FACTOR_ROWS, factor_type.size)
        wiring.connect(m, wiring.flipped(self.tokens), tokens.read)
        wiring.connect(m, wiring.flipped(self.masks), masks.read)

        # A rank: chosen -> listed (token), and through the reader: read (look up) -> factor -> found (mask).
        chosen = Signal.like(ranked.index)
        chosen_valid = Signal()
        listed = Signal(range(config.max_tokens))
        masked = Signal(range(config.max_topk))
        read = Signal()
        found = Signal()
        found_last = Signal()
        msp = Signal(signed(config.score_bits))
        factor = Signal(factor_type)
        mask, entry = data.View(mask_type, masks.write.data), data.View(factor_type, factors.read.data)
        temperature_row = (reader.record.temporal >> 5) + 64
        m.d.comb += [
            read.eq(reader.o_valid & listing),
            mask.mask.eq(msp),
            mask.sharpness.eq(Mux(layer.temperature, factor.temperature, 1 << config.gain_frac)),
            choice.entry.eq(entry.topk),
            factors.read.en.eq(read | choice.look),
            factors.read.addr.eq(Mux(choice.look, choice.row, temperature_row)),
            factors.write.en.eq(self.factors.en),
            factors.write.addr.eq(self.factors.addr),
            factors.write.data.eq(self.factors.data >> config.gain_bits),
            tokens.write.en.eq(chosen_valid & ~rate),
            tokens.write.addr.eq(listed),
            tokens.write.data.eq(chosen),
            reader.group_write.en.eq(chosen_valid & rate),
            reader.group_write.addr.eq(listed),
            reader.group_write.data.eq(chosen),
            masks.write.en.eq(found),
            masks.write.addr.eq(masked),
            self.select_valid.eq(chosen_valid),
            self.select_rank.eq(listed),
            self.select_token.eq(chosen),
        ]
        last_group = Signal.like(listed)
        m.d.sync += last_group.eq(layer.groups - 1)
        group_done = chosen_valid & (listed == last_group)
        m.d.sync += [
            chosen.eq(ranked.index),
            chosen_valid.eq(selector.o.valid & ~self.start),
            factor.eq(entry),
            found.eq(delay(m, read, 1)),
            found_last.eq(delay(m, reader.o_last, 1)),
            msp.eq(delay(m, reader.record.msp, 1)),
            self.done.eq(Mux(rate, group_done, found & found_last)),
        ]
        with m.If(self.start):
            m.d.sync += [listed.eq(0), masked.eq(0)]
        with m.Else():
            m.d.sync += [listed.eq(listed + chosen_valid), masked.eq(masked + found)]
        with m.If(self.start & wins):
            m.d.sync += self.selected.eq(0)
        with m.Elif(chosen_valid & wins):
            m.d.sync += self.selected.bit_select(chosen, 1).eq(1)
