"""The token MLP: three inputs, eight hidden units, one output (paper eq. 7 and 8, priority of SC)."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import MlpSet
from sparta_rtl.memory import BlockRam, WritePort
from sparta_rtl.pipeline import delay, saturate

__all__ = ["LATENCY", "MLP_INPUTS", "MLP_ROW_BITS", "TokenMlp"]

MLP_INPUTS = 3

MLP_ROW_BITS = 64
"""Bits of one hidden unit's row as the host writes it."""

LATENCY = CoreConfig.hidden_units + 10
"""Cycles from ``start`` to ``valid``."""


def _row_layout(config: CoreConfig) -> data.StructLayout:
    """One hidden unit: its three weights, its weight in the output, its bias."""
    return data.StructLayout(
        {
            "inputs": data.ArrayLayout(signed(config.mlp_weight_bits), MLP_INPUTS),
            "output": signed(config.mlp_weight_bits),
            "bias": signed(config.mlp_bias_bits),
        }
    )


class TokenMlp(wiring.Component):
    """One hidden unit a cycle, with four multipliers; weights of all sets in one memory.

        h_n = clamp((sum_j w[n, j] x_j + b[n]) >> hidden_shift, 0, 2047)
        y = sat_s12((sum_n v[n] h_n + c) >> shift)

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    start : In(1)
        Begin a token, at the earliest 8 cycles after the one before.
    x : In(data.ArrayLayout(signed(12), 3))
        Inputs, sampled in the cycle after ``start``.
    set, hidden_shift, shift, bias : In(range(3)), In(5), In(5), In(signed(24))
        Whose weights (:class:`~sparta_hw.descriptor.MlpSet`), and the rest of the equation, ``bias`` is c; stable from
        ``start`` to ``valid``.
    weights : In(WritePort(8 * sets, 64))
        Row = set * 8 + n, see "MLP memory" of ARCHITECTURE.md. Not while the unit works.
    valid, y, y_of : Out(1), Out(signed(12)), Out(signed(12))
        The result of a token, ``LATENCY`` = 18 cycles after its ``start``, and its x_0.
    """

    start: Signal
    set: Signal
    x: data.View
    hidden_shift: Signal
    shift: Signal
    bias: Signal
    weights: wiring.PureInterface
    valid: Signal
    y: Signal
    y_of: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        self._rows = config.hidden_units * len(MlpSet)
        super().__init__(
            {
                "start": In(1),
                "set": In(range(len(MlpSet))),
                "x": In(data.ArrayLayout(signed(config.score_bits), MLP_INPUTS)),
                "hidden_shift": In(5),
                "shift": In(5),
                "bias": In(signed(config.mlp_bias_bits)),
                "weights": In(WritePort(self._rows, MLP_ROW_BITS)),
                "valid": Out(1),
                "y": Out(signed(config.score_bits)),
                "y_of": Out(signed(config.score_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        layout = _row_layout(config)
        m.submodules.memory = memory = BlockRam(self._rows, layout.size)

        unit = Signal(range(config.hidden_units))
        with m.If(self.start):
            m.d.sync += unit.eq(1)
        with m.Elif(unit != 0):
            m.d.sync += unit.eq(unit + 1)
        m.d.comb += [
            memory.read.en.eq(self.start | (unit != 0)),
            memory.read.addr.eq(Cat(unit, self.set)),
            memory.write.en.eq(self.weights.en),
            memory.write.addr.eq(self.weights.addr),
            memory.write.data.eq(self.weights.data),
        ]

        # A hidden unit: read -> found -> row -> products -> pairs -> sum -> shifted -> hidden -> weighted -> total;
        # 8 units -> shifted total -> y.
        tag = data.StructLayout({"first": 1, "last": 1})
        tags = [
            Signal(tag, name=f"{stage}_tag")
            for stage in ("found", "row", "products", "pairs", "sum", "shifted", "hidden", "weighted")
        ]
        found, arrived, *_, weighted_tag = tags
        complete = Signal()
        settled = Signal()
        m.d.sync += [
            found.first.eq(self.start),
            found.last.eq(~self.start & (unit == config.hidden_units - 1)),
            *(following.eq(before) for before, following in pairwise(tags)),
            complete.eq(weighted_tag.last),
            settled.eq(complete),
            self.valid.eq(settled),
        ]

        row = Signal(layout, reset_less=True)
        x = Signal.like(self.x)
        first_x = Signal.like(self.y_of)
        m.d.sync += row.eq(memory.read.data)
        with m.If(found.first):
            m.d.sync += x.eq(self.x)
        with m.If(arrived.last):
            m.d.sync += first_x.eq(x[0])

        product_bits = config.mlp_weight_bits + config.score_bits
        products = [
            Signal(signed(product_bits), name=f"product{j}", reset_less=True) for j in range(MLP_INPUTS)
        ]
        biases = Signal(signed(config.mlp_bias_bits), reset_less=True)
        total_bits = config.mlp_bias_bits + 1
        pairs = [Signal(signed(total_bits), name=f"pair{n}", reset_less=True) for n in range(2)]
        hidden_sum = Signal.like(pairs[0])
        hidden = Signal(unsigned(config.hidden_bits), reset_less=True)
        output = delay(m, row.output, 5)
        hidden_shift = Signal.like(self.hidden_shift)
        shift = Signal.like(self.shift)
        m.d.sync += [hidden_shift.eq(self.hidden_shift), shift.eq(self.shift)]
        weighted = Signal(signed(product_bits), reset_less=True)
        total = Signal(signed(total_bits), reset_less=True)
        shifted = Signal(signed(total_bits), reset_less=True)
        top = (1 << config.hidden_bits) - 1
        m.d.sync += [
            *(product.eq(row.inputs[j] * x[j]) for j, product in enumerate(products)),
            biases.eq(row.bias),
            pairs[0].eq(products[0] + products[1]),
            pairs[1].eq(products[2] + biases),
            hidden_sum.eq(pairs[0] + pairs[1]),
            shifted.eq(hidden_sum >> hidden_shift),
            hidden.eq(Mux(shifted < 0, 0, Mux(shifted > top, top, shifted))),
            weighted.eq(output * hidden),
            total.eq(Mux(weighted_tag.first, self.bias, total) + weighted),
        ]
        y = Signal(signed(total_bits))
        m.d.sync += y.eq(total >> shift)
        with m.If(settled):
            m.d.sync += [self.y.eq(saturate(y, config.score_bits)), self.y_of.eq(first_x)]
        return m
