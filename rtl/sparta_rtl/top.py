"""The core as it goes onto a chip: host port and streams only."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sparta_hw.config import CoreConfig
from sparta_rtl.core import Core
from sparta_rtl.host import AxiLite

__all__ = ["Top"]


class Top(wiring.Component):
    """:class:`~sparta_rtl.core.Core` with its trace outputs left open.

    Members
    -------
    axil : In(AxiLite())
    spikes : In(stream.Signature(32))
    results : Out(stream.Signature(33))
    """

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "axil": In(AxiLite()),
                "spikes": In(stream.Signature(32)),
                "results": Out(stream.Signature(unsigned(33))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = Core(self._config)
        connect(m, flipped(self.axil), core.axil)
        connect(m, flipped(self.spikes), core.spikes)
        connect(m, core.results, flipped(self.results))
        return m
