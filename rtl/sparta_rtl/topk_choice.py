"""K of an inference: what the host asks for, or what the sparsity MLP makes of the cues (paper eq. 6-7)."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_rtl.layouts import record_layout
from sparta_rtl.sparsity import CueStatistics, statistics_cycles
from sparta_rtl.token_mlp import LATENCY, MLP_INPUTS

__all__ = ["TopKChoice", "choice_cycles"]

_TABLE_BITS = 16


class TopKChoice(wiring.Component):
    """``K = min(request, N, max_topk)``; without a request ``K_TABLE[(y >> 4) + 128]`` in place of it, or 1.

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    begin : In(1)
        An inference starts: clears ``clamped``.
    start, chooses : In(1), In(1)
        A ranking starts; with ``start``: it chooses K.
    dynamic, tokens, request : In(1), In(12), In(16)
        From the descriptor, its N, and from the host; stable from ``start`` on.
    valid, last, record : In(1), In(1), In(record_layout(config))
        The records of the N tokens; ``last`` with the N-th one.
    mlp_start, mlp_inputs : Out(1), Out(data.ArrayLayout(signed(12), 3))
        Begin the sparsity MLP: mean rate, deviation of first, mean interval.
    mlp_valid, y : In(1), In(signed(12))
        Its result.
    sparse : Out(1)
        From ``mlp_start`` to the next ``start``: the MLP is the sparsity MLP.
    look, row, entry : Out(1), Out(8), In(16)
        Row of K_TABLE to read, and what was in the one of the cycle before.
    deciding, decided : Out(1), Out(1)
        K comes from the MLP, high from the cycle after ``start`` to the next one; pulse: it is in ``topk``,
        ``choice_cycles(config)`` after the last record.
    topk, clamped : Out(range(max_topk + 1)), Out(1)
        K, 2 cycles after ``start`` unless it is dynamic; whether a request was not K.
    """

    begin: Signal
    start: Signal
    chooses: Signal
    dynamic: Signal
    tokens: Signal
    request: Signal
    valid: Signal
    last: Signal
    record: data.View
    mlp_start: Signal
    mlp_inputs: data.View
    mlp_valid: Signal
    y: Signal
    sparse: Signal
    look: Signal
    row: Signal
    entry: Signal
    deciding: Signal
    decided: Signal
    topk: Signal
    clamped: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "begin": In(1),
                "start": In(1),
                "chooses": In(1),
                "dynamic": In(1),
                "tokens": In(12),
                "request": In(_TABLE_BITS),
                "valid": In(1),
                "last": In(1),
                "record": In(record_layout(config)),
                "mlp_start": Out(1),
                "mlp_inputs": Out(data.ArrayLayout(signed(config.score_bits), MLP_INPUTS)),
                "mlp_valid": In(1),
                "y": In(signed(config.score_bits)),
                "sparse": Out(1),
                "look": Out(1),
                "row": Out(8),
                "entry": In(_TABLE_BITS),
                "deciding": Out(1),
                "decided": Out(1),
                "topk": Out(range(config.max_topk + 1)),
                "clamped": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.statistics = statistics = CueStatistics(config)
        m.d.comb += [
            statistics.clear.eq(self.start),
            statistics.valid.eq(self.valid),
            statistics.tokens.eq(self.tokens),
            statistics.first.eq(self.record.first),
            statistics.interval.eq(self.record.interval),
            statistics.rate.eq(self.record.rate),
            self.mlp_inputs[0].eq(statistics.mean_rate),
            self.mlp_inputs[1].eq(statistics.deviation),
            self.mlp_inputs[2].eq(statistics.mean_interval),
            self.look.eq(self.mlp_valid & self.sparse),
            self.row.eq((self.y >> config.score_frac) + 128),
        ]

        # last -> statistics -> mlp_start -> look -> found -> settle (clamp) -> decided.
        found = Signal()
        settle = Signal()
        wanted = Signal(_TABLE_BITS)
        m.d.sync += [
            statistics.start.eq(self.valid & self.last & self.deciding),
            self.mlp_start.eq(statistics.done),
            found.eq(self.look),
            settle.eq(found),
            self.decided.eq(settle & self.sparse),
        ]
        with m.If(statistics.done):
            m.d.sync += self.sparse.eq(1)
        with m.If(found):
            m.d.sync += wanted.eq(self.entry)

        by_mlp = Signal()
        limit = Signal.like(self.tokens)
        chosen = Signal.like(wanted)
        m.d.comb += [
            by_mlp.eq(self.dynamic & (self.request == 0)),
            chosen.eq(Mux(wanted > limit, limit, Mux(wanted == 0, 1, wanted))),
        ]
        m.d.sync += limit.eq(Mux(self.tokens < config.max_topk, self.tokens, config.max_topk))
        with m.If(self.start):
            m.d.sync += [
                wanted.eq(self.request),
                self.deciding.eq(self.chooses & by_mlp),
                settle.eq(self.chooses & ~by_mlp),
                self.sparse.eq(0),
            ]
        with m.If(settle):
            m.d.sync += self.topk.eq(chosen)
        with m.If(self.begin):
            m.d.sync += self.clamped.eq(0)
        with m.Elif(settle & ~self.sparse & (chosen != wanted)):
            m.d.sync += self.clamped.eq(1)
        return m


def choice_cycles(config: CoreConfig) -> int:
    """Clock cycles of :class:`TopKChoice` from the last record to ``decided``."""
    return statistics_cycles(config) + LATENCY + 5
