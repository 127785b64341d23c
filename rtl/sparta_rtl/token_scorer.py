"""The number a token is ranked by: rate, MSP score, fused score or priority (paper eq. 8, priority of SC)."""

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import MlpSet, Op, RankBy
from sparta_rtl.layouts import descriptor_layout, record_layout
from sparta_rtl.memory import WritePort
from sparta_rtl.pipeline import delay
from sparta_rtl.token_mlp import LATENCY, MLP_INPUTS, MLP_ROW_BITS, TokenMlp

__all__ = ["MLP_SCORE_CYCLES", "SCORE_CYCLES", "TokenScorer"]

SCORE_CYCLES, MLP_SCORE_CYCLES = 1, LATENCY + 1
"""From ``valid`` or ``spatial_done`` to ``o_valid``, without the MLP and with it."""


class TokenScorer(wiring.Component):
    """Scores records in the order they come, and lends its MLP to the choice of K.

        RATE      rate                                                         1 cycle after the record
        MSP       msp                                                          1 cycle after it
        FUSION    MLP(spatial or 0, msp, temporal)                             16 cycles after it
        PRIORITY  MLP(first, interval, min((rate * gain) >> 6, 2047))          16 cycles after it

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    layer : In(descriptor_layout(Op.RANK))
    valid, record, gain : In(1), In(record_layout(config)), In(8)
        A token, at the earliest 8 cycles after the one before where the MLP is used; ``record`` and ``gain`` are
        stable to the end of the next cycle.
    spatial_done, spatial_score : In(1), In(signed(12))
        In place of ``valid`` for FUSION with spatial scores; ``spatial_score`` comes one cycle later.
    weights : In(WritePort(24, 64))
        See :class:`~sparta_rtl.token_mlp.TokenMlp`.
    sparse, sparse_start, sparse_inputs : In(1), In(1), In(data.ArrayLayout(signed(12), 3))
        ``sparse_start`` begins the sparsity MLP; ``sparse`` from then on, no token may be on its way.
    o_valid, key, spatial : Out(1), Out(signed(12)), Out(signed(12))
        Score of a token, and the centre-surround score in it or 0.
    sparse_valid, y : Out(1), Out(signed(12))
        Result of the sparsity MLP.
    """

    layer: data.View
    valid: Signal
    record: data.View
    gain: Signal
    spatial_done: Signal
    spatial_score: Signal
    weights: wiring.PureInterface
    sparse: Signal
    sparse_start: Signal
    sparse_inputs: data.View
    o_valid: Signal
    key: Signal
    spatial: Signal
    sparse_valid: Signal
    y: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        score = signed(config.score_bits)
        super().__init__(
            {
                "layer": In(descriptor_layout(Op.RANK)),
                "valid": In(1),
                "record": In(record_layout(config)),
                "gain": In(config.gain_bits),
                "spatial_done": In(1),
                "spatial_score": In(score),
                "weights": In(WritePort(config.hidden_units * len(MlpSet), MLP_ROW_BITS)),
                "sparse": In(1),
                "sparse_start": In(1),
                "sparse_inputs": In(data.ArrayLayout(score, MLP_INPUTS)),
                "o_valid": Out(1),
                "key": Out(score),
                "spatial": Out(score),
                "sparse_valid": Out(1),
                "y": Out(score),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, layer, record = self._config, self.layer, self.record
        m.submodules.mlp = mlp = TokenMlp(config)
        wiring.connect(m, wiring.flipped(self.weights), mlp.weights)

        # A token: ready -> x (sampled by the MLP in the cycle after its start; with spatial scores x is kept from
        # the record's second cycle, since the next one is there before).
        priority = Signal()
        by_mlp = Signal()
        spatial = Signal()
        ready = Signal()
        x1 = Signal.like(self.key)
        x2 = Signal.like(self.key)
        gated = Signal(config.cue_bits + config.gain_bits, reset_less=True)
        cue_max = (1 << config.cue_bits) - 1
        gated_rate = gated >> config.gain_frac
        m.d.sync += [
            priority.eq(layer.by == RankBy.PRIORITY),
            by_mlp.eq((layer.by == RankBy.PRIORITY) | (layer.by == RankBy.FUSION)),
            spatial.eq((layer.by == RankBy.FUSION) & layer.spatial),
        ]
        m.d.comb += ready.eq(by_mlp & Mux(spatial, self.spatial_done, self.valid))
        with m.If(Mux(spatial, delay(m, self.valid, 1), self.valid)):
            m.d.sync += [
                x1.eq(Mux(priority, record.first, record.msp)),
                x2.eq(Mux(priority, record.interval, record.temporal)),
            ]
        m.d.sync += gated.eq(record.rate * self.gain)
        with m.If(self.sparse):
            m.d.comb += mlp.x.eq(self.sparse_inputs)
        with m.Elif(priority):
            m.d.comb += [mlp.x[0].eq(x1), mlp.x[1].eq(x2)]
            m.d.comb += mlp.x[2].eq(Mux(gated_rate > cue_max, cue_max, gated_rate))
        with m.Else():
            m.d.comb += [mlp.x[0].eq(Mux(spatial, self.spatial_score, 0)), mlp.x[1].eq(x1), mlp.x[2].eq(x2)]

        weights = Mux(self.sparse, MlpSet.SPARSITY, Mux(priority, MlpSet.PRIORITY, MlpSet.FUSION))
        m.d.comb += [
            mlp.start.eq(ready | self.sparse_start),
            mlp.set.eq(weights),
            mlp.hidden_shift.eq(Mux(self.sparse, layer.sparsity_hidden_shift, layer.hidden_shift)),
            mlp.shift.eq(Mux(self.sparse, layer.sparsity_shift, layer.shift)),
            mlp.bias.eq(Mux(self.sparse, layer.sparsity_bias, layer.bias)),
            self.sparse_valid.eq(mlp.valid & self.sparse),
            self.y.eq(mlp.y),
        ]
        m.d.sync += [
            self.o_valid.eq(Mux(by_mlp, mlp.valid & ~self.sparse, self.valid)),
            self.key.eq(Mux(by_mlp, mlp.y, Mux(layer.by == RankBy.RATE, record.rate, record.msp))),
            self.spatial.eq(Mux(spatial, mlp.y_of, Const(0))),
        ]
        return m
