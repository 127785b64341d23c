"""From a token to its record: group list, record memory, gain, and the neighbours in the grid."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import unsigned_bits
from sparta_rtl.layouts import record_layout
from sparta_rtl.memory import BlockRam, ReadPort, WritePort
from sparta_rtl.spatial import CentreSurround

__all__ = ["READ_CYCLES", "READ_SPATIAL_CYCLES", "TokenReader"]

READ_CYCLES = 4
"""From ``valid`` to ``o_valid``."""

READ_SPATIAL_CYCLES = READ_CYCLES + 9
"""From ``valid`` to ``spatial_done``."""


class TokenReader(wiring.Component):
    """Answers tokens with their records, one a cycle, or one in 9 cycles with its centre-surround score.

    Parameters
    ----------
    config : CoreConfig

    Members
    -------
    valid, last, token : In(1), In(1), In(range(max_tokens))
        A token whose record is wanted.
    grouped, spatial : In(1), In(1)
        Token i is grid token group[i], not i; read its neighbours as well. Stable.
    width, inhibition : In(12), In(7)
        See :class:`~sparta_rtl.spatial.CentreSurround`.
    group : In(ReadPort(max_tokens, bits of a token index))
        Group list. Not while the unit works.
    group_write : In(WritePort(max_tokens, bits of a token index))
    records, gains : Out(ReadPort(max_tokens, record_layout(config).size)), Out(ReadPort(max_tokens, 8))
    o_valid, o_last, record, gain : Out(1), Out(1), Out(record_layout(config)), Out(8)
        Record and gain of a token, 4 cycles after ``valid``, stable until the next one.
    spatial_done : Out(1)
        13 cycles after ``valid``, the first in which ``record`` may be that of the next token.
    spatial_score : Out(signed(12))
        s12.3, in the cycle after ``spatial_done``.
    """

    valid: Signal
    last: Signal
    token: Signal
    grouped: Signal
    spatial: Signal
    width: Signal
    inhibition: Signal
    group: wiring.PureInterface
    group_write: wiring.PureInterface
    records: wiring.PureInterface
    gains: wiring.PureInterface
    o_valid: Signal
    o_last: Signal
    record: data.View
    gain: Signal
    spatial_done: Signal
    spatial_score: Signal

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        self._token_bits = unsigned_bits(config.max_tokens - 1)
        super().__init__(
            {
                "valid": In(1),
                "last": In(1),
                "token": In(range(config.max_tokens)),
                "grouped": In(1),
                "spatial": In(1),
                "width": In(12),
                "inhibition": In(config.inhibition_bits),
                "group": In(ReadPort(config.max_tokens, self._token_bits)),
                "group_write": In(WritePort(config.max_tokens, self._token_bits)),
                "records": Out(ReadPort(config.max_tokens, record_layout(config).size)),
                "gains": Out(ReadPort(config.max_tokens, config.gain_bits)),
                "o_valid": Out(1),
                "o_last": Out(1),
                "record": Out(record_layout(config)),
                "gain": Out(config.gain_bits),
                "spatial_done": Out(1),
                "spatial_score": Out(signed(config.score_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.list = group_list = BlockRam(config.max_tokens, self._token_bits)
        m.submodules.surround = surround = CentreSurround(config)
        wiring.connect(m, wiring.flipped(self.group_write), group_list.write)
        m.d.comb += [
            group_list.read.en.eq(self.valid | self.group.en),
            group_list.read.addr.eq(Mux(self.valid, self.token, self.group.addr)),
            self.group.data.eq(group_list.read.data),
        ]

        # A token: valid (read the list) -> listed -> read -> arrived -> o.
        tag = data.StructLayout({"valid": 1, "last": 1})
        listed = Signal(tag)
        read = Signal(tag)
        arrived = Signal(tag)
        list_token = Signal.like(self.token)
        token = Signal.like(self.token)
        grid_token = Signal.like(self.token)
        record = data.View(record_layout(config), self.records.data)
        m.d.sync += [
            listed.valid.eq(self.valid),
            listed.last.eq(self.last),
            read.eq(listed),
            arrived.eq(read),
            self.o_valid.eq(arrived.valid),
            self.o_last.eq(arrived.last),
            list_token.eq(self.token),
        ]
        with m.If(listed.valid):
            m.d.sync += [
                token.eq(list_token),
                grid_token.eq(Mux(self.grouped, group_list.read.data, list_token)),
            ]
        with m.If(arrived.valid):
            m.d.sync += [self.record.eq(record), self.gain.eq(self.gains.data)]
        m.d.comb += [
            surround.start.eq(read.valid & self.spatial),
            surround.token.eq(grid_token),
            surround.width.eq(self.width),
            surround.inhibition.eq(self.inhibition),
            surround.record.eq(record),
            self.records.en.eq(read.valid | surround.read),
            self.records.addr.eq(Mux(read.valid, grid_token, surround.row)),
            self.gains.en.eq(read.valid),
            self.gains.addr.eq(token),
            self.spatial_done.eq(surround.done),
            self.spatial_score.eq(surround.spatial),
        ]
        return m
