"""Gain and source position of a token, looked up and computed in a pipeline (paper eq. 9, STEN)."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.layouts import descriptor_layout, record_layout
from sparta_rtl.memory import BlockRam, ReadPort, WritePort
from sparta_rtl.pipeline import delay

__all__ = ["GAIN_LATENCY", "GainUnit"]

GAIN_LATENCY = 5
"""Cycles from ``token`` to its results: group list, record, timing table, product, gain."""

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

        # token -> listed (group list) -> found (record) -> timed (table) -> product -> gain
        listed, found = delay(m, self.token, 1), delay(m, self.token, 2)
        place = Signal.like(self.token)
        record = data.View(record_layout(config), self.records.data)
        m.d.comb += [
            self.group.en.eq(self.valid),
            self.group.addr.eq(self.token),
            place.eq(Mux(layer.grouped, self.group.data, listed)),
            self.records.en.eq(delay(m, self.valid, 1)),
            self.records.addr.eq(place),
            timing.read.en.eq(1),
            timing.read.addr.eq((record.msp >> config.score_bits - 7) + _TIMING_ROWS // 2),
        ]
        position, pitch = Signal.like(place), Signal(len(layer.chunks) + len(layer.groups))
        base_gain, timed_gain = Signal(config.gain_bits), Signal(config.gain_bits)
        product = Signal(2 * config.gain_bits)
        offset = Signal.like(self.offset)
        largest = (1 << config.gain_bits) - 1
        scaled = product >> config.gain_frac
        m.d.sync += [
            pitch.eq(layer.chunks * layer.groups),
            position.eq(Mux(layer.pooled, record.cell, delay(m, place, 1))),
            base_gain.eq(Mux(self.selected.bit_select(found, 1), layer.gain_selected, layer.gain_other)),
            product.eq(base_gain * timing.read.data),
            timed_gain.eq(base_gain),
            self.gain.eq(Mux(layer.timing, Mux(scaled > largest, largest, scaled), timed_gain)),
            offset.eq(position * pitch),
            self.offset.eq(offset),
        ]
        return m
