"""Block RAM with one write port and one read port, and the port signatures that units use.

Reading and writing one address in the same cycle never happens in the core (the sequencer orders producers and
consumers), so synthesis is told that the result does not matter: without that, each block RAM grows a forwarding
path (see ``sparta_sim/synthesis``).
"""

from pathlib import Path

from amaranth.hdl import ClockSignal, Instance, Module, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RAM_VERILOG", "BlockRam", "ReadPort", "VerilogTarget", "WritePort"]

RAM_VERILOG = Path(__file__).with_name("sparta_ram.v")
"""Module ``sparta_ram``, the :class:`BlockRam` of generated Verilog."""


class VerilogTarget:
    """Amaranth platform of generated Verilog: its memories are instances of ``sparta_ram``.

    Amaranth writes the initial value of each bit of a memory, which a core of many megabytes cannot afford; and a
    module of its own is what an ASIC flow replaces by macros. In Amaranth's simulator, without a platform, a memory
    is ``amaranth.lib.memory``.
    """


class ReadPort(wiring.Signature):
    """Read access as its user sees it.

    Members
    -------
    en : Out(1)
        Read in this cycle. Without it ``data`` keeps its value.
    addr : Out(range(depth))
        Row.
    data : In(width)
        Row ``addr`` of the cycle before. Slow (block RAM output): register it before logic.
    """

    def __init__(self, depth: int, width: int) -> None:
        super().__init__({"en": Out(1), "addr": Out(range(depth)), "data": In(unsigned(width))})


class WritePort(wiring.Signature):
    """Write access as its user sees it.

    Members
    -------
    en : Out(segments)
        Write these equal parts of the row, lowest bits first.
    addr : Out(range(depth))
        Row.
    data : Out(width)
        Its new content.
    """

    def __init__(self, depth: int, width: int, segments: int = 1) -> None:
        super().__init__({"en": Out(segments), "addr": Out(range(depth)), "data": Out(unsigned(width))})


class BlockRam(wiring.Component):
    """A simple dual-port memory of ``depth`` rows, ``width`` bits each, read latency one cycle.

    Parameters
    ----------
    depth, width : int
        Rows and bits of one row.
    segments : int
        Equal parts of a row that can be written alone; divides ``width``.

    Members
    -------
    read : In(ReadPort(depth, width))
    write : In(WritePort(depth, width, segments))
    """

    def __init__(self, depth: int, width: int, segments: int = 1) -> None:
        if width % segments:
            raise ValueError(f"a row of {width} bits has no {segments} equal segments")
        self._depth, self._width, self._segments = depth, width, segments
        super().__init__(
            {
                "read": In(ReadPort(depth, width)),
                "write": In(WritePort(depth, width, segments)),
            }
        )

    def elaborate(self, platform: object) -> Module | Instance:
        if isinstance(platform, VerilogTarget):
            return Instance(
                "sparta_ram",
                p_DEPTH=self._depth,
                p_WIDTH=self._width,
                p_SEGMENTS=self._segments,
                i_clk=ClockSignal(),
                i_write_en=self.write.en,
                i_write_addr=self.write.addr,
                i_write_data=self.write.data,
                i_read_en=self.read.en,
                i_read_addr=self.read.addr,
                o_read_data=self.read.data,
            )
        m = Module()
        m.submodules.cells = cells = memory.Memory(shape=unsigned(self._width), depth=self._depth, init=[])
        write = cells.write_port(granularity=self._width // self._segments)
        read = cells.read_port()
        m.d.comb += [
            write.en.eq(self.write.en),
            write.addr.eq(self.write.addr),
            write.data.eq(self.write.data),
            read.en.eq(self.read.en),
            read.addr.eq(self.read.addr),
            self.read.data.eq(read.data),
        ]
        return m
