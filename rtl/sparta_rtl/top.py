"""The core as it goes onto a chip: host port and streams only."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from sparta_hw.config import CoreConfig
from sparta_rtl.core import Core, host_members

__all__ = ["Top"]


class Top(wiring.Component):
    """:class:`~sparta_rtl.core.Core` with its trace outputs left open.

    Members
    -------
    axil : In(AxiLite())
    spikes : In(stream.Signature(32))
    results : Out(stream.Signature(33))
    m_axi : Out(AxiRead(stream_bits))
        Only if weights are streamed.
    """

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(host_members(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = Core(self._config)
        connect(m, flipped(self.axil), core.axil)
        connect(m, flipped(self.spikes), core.spikes)
        connect(m, core.results, flipped(self.results))
        if self._config.stream_bits:
            connect(m, core.m_axi, flipped(self.m_axi))
        return m
