"""Gain and source position of a token, looked up and computed in a pipeline (paper eq. 9, STEN)."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.layouts import descriptor_layout, record_layout
from sparta_rtl.memory import BlockRam, ReadPort, WritePort
from sparta_rtl.pipeline import delay

__all__ = ["GAIN_LATENCY", "GainUnit"]

GAIN_LATENCY = 8
"""Cycles from ``token`` to its results: group list, place, record, register, timing table, factor, product, gain."""

_TIMING_ROWS = 128


class GainUnit(wiring.Component):
    """One token a cycle::

        p      = group[i], or i unless ``grouped``
        gain   = gain_selected if i is selected else gain_other
        gain   = min((gain * TIMING[(msp[p] >> 5) + 64]) >> 6, 255)     with ``timing``
        offset = (cell(p) if pooled else p) * chunks * groups

    Members
    -------
    layer : In(descriptor_layout(Op.GATE))
    selected : In(max_tokens)
    group, records, factors
        See :class:`~sparta_rtl.gate.GateUnit`.
    valid, token : In(1), In(range(max_tokens))
    gain, offset : Out(8), Out(16)
        Of the token :data:`GAIN_LATENCY` cycles before; ``offset`` is in lines.
    """

    layer: Signal
    selected: Signal
    group: wiring.PureInterface
    records: wiring.PureInterface
    factors: wiring.PureInterface
    valid: Signal
    token: Signal
    gain: Signal
    offset: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "layer": In(descriptor_layout(Op.GATE)),
                "selected": In(config.max_tokens),
                "group": Out(ReadPort(config.max_tokens, unsigned_bits(config.max_tokens - 1))),
                "records": Out(ReadPort(config.max_tokens, record_layout(config).size)),
                "factors": In(WritePort(2 * _TIMING_ROWS, 32)),
                "valid": In(1),
                "token": In(range(config.max_tokens)),
                "gain": Out(config.gain_bits),
                "offset": Out(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, layer = self._config, self.layer
        m.submodules.timing = timing = BlockRam(_TIMING_ROWS, config.gain_bits)
        m.d.comb += [
            timing.write.en.eq(self.factors.en & ~self.factors.addr[-1]),
            timing.write.addr.eq(self.factors.addr),
            timing.write.data.eq(self.factors.data),
        ]

        # token -> listed -> place -> found -> record -> timed (table) -> factor -> product -> gain
        place = Signal.like(self.token)
        record = Signal(record_layout(config))
        factor = Signal(config.gain_bits)
        m.d.comb += [
            self.group.en.eq(self.valid),
            self.group.addr.eq(self.token),
            self.records.en.eq(delay(m, self.valid, 2)),
            self.records.addr.eq(place),
            timing.read.en.eq(1),
            timing.read.addr.eq((record.msp >> config.score_bits - 7) + _TIMING_ROWS // 2),
        ]
        position = Signal.like(place)
        pitch = Signal(len(layer.chunks) + len(layer.groups), reset_less=True)
        base_gain = Signal(config.gain_bits)
        timed_gain = Signal(config.gain_bits)
        product = Signal(2 * config.gain_bits, reset_less=True)
        offset = Signal.like(self.offset, reset_less=True)
        largest = (1 << config.gain_bits) - 1
        scaled = product >> config.gain_frac
        selected = self.selected.bit_select(delay(m, self.token, 5), 1)
        m.d.sync += [
            place.eq(Mux(layer.grouped, self.group.data, delay(m, self.token, 1))),
            record.eq(self.records.data),
            factor.eq(timing.read.data),
            base_gain.eq(Mux(selected, layer.gain_selected, layer.gain_other)),
            product.eq(base_gain * factor),
            timed_gain.eq(base_gain),
            self.gain.eq(Mux(layer.timing, Mux(scaled > largest, largest, scaled), timed_gain)),
            pitch.eq(layer.chunks * layer.groups),
            position.eq(Mux(layer.pooled, record.cell, delay(m, place, 2))),
            offset.eq(position * pitch),
            self.offset.eq(delay(m, offset, 1)),
        ]
        return m
