"""The row generator: which runs of consecutive spike entries feed an output position."""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op
from sparta_rtl.layouts import descriptor_layout
from sparta_rtl.pipeline import is_next

__all__ = ["WindowRows", "row_layout"]

_COLUMN_BITS = 22
"""Entries from the start of an input row, signed; row pitch, window and padding take at most 20 bits."""

_ROW_BITS = 14
"""Input rows, signed, padding included."""


def row_layout(config: CoreConfig) -> data.StructLayout:
    """One kernel row of one position and step group: consecutive entries in one or more lines.

    address : spike memory line of the first entry;  lines : lines after it;  first, last : place of the first
    entry in the first line and of the last entry in the last line;  weight : weight row of place 0 of the
    first line, modulo the memory's depth;  empty : no entry lies inside the input;  end : last row of its
    position and group;  final : last row of the tile.
    """
    return data.StructLayout(
        {
            "address": range(config.spike_lines),
            "lines": range(config.spike_lines),
            "first": range(config.line),
            "last": range(config.line),
            "weight": range(config.weight_rows),
            "empty": 1,
            "end": 1,
            "final": 1,
        }
    )


def _is_after_next(before: Value, after: Value) -> Value:
    """``after == before + 2``."""
    return (before[0] == after[0]) & is_next(
        before[1:].as_signed() if before.shape().signed else before[1:], after[1:]
    )


class WindowRows(wiring.Component):
    """Walks tiles, positions (row by row), step groups and kernel rows of a layer, in this order.

    A row of the window at output (y, x), ``iy = y * y_step - pad + ky``, holds the entries ``lo .. hi - 1``::

        lo = iy * row_pitch + max(0, x * x_step - x_start)
        hi = iy * row_pitch + min(row_pitch, x * x_step - x_start + run)

    With ``ranked`` there is one row of ``topk`` positions. Rows outside of the input are left out, but the last
    row of a position and group is always issued, marked ``empty`` if it has no entry.

    Members
    -------
    start : In(1)
        Begin a layer. ``layer`` and ``topk`` are stable until its last row was accepted.
    layer : In(descriptor_layout(Op.LAYER))
    topk : In(range(max_topk + 1))
        Positions with ``ranked``.
    first_weight : In(range(weight_rows))
        Weight row of window entry 0 of the first tile, in the cycle after ``start``.
    o : Out(stream.Signature(row_layout(config)))

    Latency and throughput: one kernel row a cycle, left-out rows included, and two cycles more at each
    position; the first row is valid 6 cycles after ``start``. All of it stops while a row waits.
    """

    start: Signal
    layer: data.View
    topk: Signal
    first_weight: Signal
    o: stream.Interface

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "layer": In(descriptor_layout(Op.LAYER)),
                "topk": In(range(config.max_topk + 1)),
                "first_weight": In(range(config.weight_rows)),
                "o": Out(stream.Signature(row_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._advance = Signal()
        m.d.comb += self._advance.eq(~self.o.valid | self.o.ready)
        self._origin = Signal(ceil_log2(self._config.spike_lines) + exact_log2(self._config.line))
        self._clips = Signal()
        self._begun = Signal()
        self._positions(m)
        self._window(m)
        with m.If(self._advance):
            self._lines(m)
        return m

    def _positions(self, m: Module) -> None:
        """Counters of the position: column of its window, input row of kernel row 0 and that row's first entry.

        They go on to the next position when the window of this one is clipped; what its rows need of them is kept.
        """
        layer = self.layer
        self._column = column = Signal(signed(_COLUMN_BITS))
        self._top = top = Signal(signed(_ROW_BITS))
        self._last_position = Signal()
        self._last_tile = Signal()
        self._next_row = start_row = Signal.like(self._origin)
        above = Signal.like(start_row, reset_less=True)
        below = Signal.like(start_row, reset_less=True)
        x = Signal.like(layer.out_width)
        y = Signal.like(layer.out_height)
        last_x = Signal()
        last_y = Signal()
        tile = Signal.like(layer.tiles)
        last_tile = Signal()
        clipped = Signal()
        m.d.sync += [
            last_x.eq(is_next(x, Mux(layer.ranked, self.topk, layer.out_width))),
            last_y.eq(layer.ranked | is_next(y, layer.out_height)),
            last_tile.eq(is_next(tile, layer.tiles)),
            above.eq(layer.pad * layer.row_pitch[: len(above)]),
            below.eq(layer.y_step * layer.row_pitch[: len(below)]),
            self._begun.eq(self.start),
            clipped.eq(self._clips & self._advance),
        ]
        with m.If(self._clips):
            m.d.sync += [self._last_position.eq(last_x & last_y), self._last_tile.eq(last_tile)]
        with m.If(clipped):
            m.d.sync += [x.eq(x + 1), column.eq(column + layer.x_step)]
            with m.If(last_x):
                m.d.sync += [x.eq(0), column.eq(-layer.x_start), y.eq(y + 1), top.eq(top + layer.y_step)]
                m.d.sync += start_row.eq(start_row + below)
            with m.If(last_x & last_y):
                m.d.sync += [y.eq(0), top.eq(-layer.pad), start_row.eq(-above), tile.eq(tile + 1)]
        with m.If(self._begun):
            m.d.sync += start_row.eq(-above)
        with m.If(self.start):
            m.d.sync += [x.eq(0), y.eq(0), column.eq(-layer.x_start), top.eq(-layer.pad), tile.eq(0)]

    def _window(self, m: Module) -> None:
        """Per position: the window's columns, clipped; then count groups and kernel rows."""
        layer, origin = self.layer, self._origin
        left = Signal(signed(_COLUMN_BITS))
        right = Signal(signed(_COLUMN_BITS))
        skip = Signal(signed(_COLUMN_BITS))
        top = Signal.like(self._top)
        start_row = Signal.like(origin)
        row = Signal.like(origin)
        weight = Signal.like(self.first_weight)
        first = Signal.like(weight)
        kernel_row = Signal.like(layer.kernel_height)
        group = Signal.like(layer.groups)
        input_row = Signal(signed(_ROW_BITS))
        live = Signal()
        last_row = Signal()
        last_group = Signal()
        one_row = Signal()
        m.d.comb += live.eq((input_row >= 0) & (input_row < layer.in_height))

        self._valid = valid = Signal()
        self._row = issued = Signal(
            data.StructLayout(
                {
                    "low": origin.shape(),
                    "high": origin.shape(),
                    "weight": weight.shape(),
                    "group": group.shape(),
                    "empty": 1,
                    "end": 1,
                    "final": 1,
                }
            )
        )
        with m.If(self._begun):
            m.d.sync += first.eq(self.first_weight)
        with m.If(self._advance):
            m.d.sync += valid.eq(0)
        with m.FSM():
            with m.State("IDLE"), m.If(self.start):
                m.next = "COLUMNS"
            with m.State("COLUMNS"):
                m.d.sync += [
                    left.eq(Mux(self._column < 0, 0, self._column)),
                    skip.eq(Mux(self._column < 0, -self._column, 0)),
                    right.eq(self._column + layer.run),
                    one_row.eq((layer.kernel_height == 1) | is_next(self._top, layer.in_height)),
                ]
                with m.If(self._advance):
                    m.next = "CLIP"
            with m.State("CLIP"):
                m.d.sync += [
                    right.eq(Mux(right < layer.row_pitch, right, layer.row_pitch)),
                    row.eq(self._next_row),
                    start_row.eq(self._next_row),
                    weight.eq(first + skip),
                    input_row.eq(self._top),
                    top.eq(self._top),
                    kernel_row.eq(0),
                    group.eq(0),
                    last_row.eq(one_row),
                    last_group.eq(layer.groups == 1),
                ]
                m.d.comb += self._clips.eq(1)
                with m.If(self._advance):
                    m.next = "ROWS"
            with m.State("ROWS"), m.If(self._advance):
                m.d.sync += [
                    valid.eq(live | last_row),
                    issued.low.eq(row + left),
                    issued.high.eq(row + right - 1),
                    issued.weight.eq(weight),
                    issued.group.eq(group),
                    issued.empty.eq(~live),
                    issued.end.eq(last_row),
                    issued.final.eq(last_row & last_group & self._last_position),
                    kernel_row.eq(kernel_row + 1),
                    input_row.eq(input_row + 1),
                    row.eq(row + layer.row_pitch),
                    weight.eq(weight + layer.run),
                    last_row.eq(
                        _is_after_next(kernel_row, layer.kernel_height)
                        | _is_after_next(input_row, layer.in_height)
                    ),
                ]
                with m.If(last_row):
                    m.d.sync += [
                        kernel_row.eq(0),
                        input_row.eq(top),
                        row.eq(start_row),
                        weight.eq(first + skip),
                        group.eq(group + 1),
                        last_row.eq(one_row),
                        last_group.eq(_is_after_next(group, layer.groups)),
                    ]
                with m.If(last_row & last_group):
                    m.next = "COLUMNS"
                    with m.If(self._last_position):
                        m.d.sync += first.eq(first + layer.weight_pitch)
                    with m.If(self._last_position & self._last_tile):
                        m.next = "IDLE"

    def _lines(self, m: Module) -> None:
        """From entries to lines: ``address = in_base + (low // L) * groups + group``."""
        layer, bits = self.layer, exact_log2(self._config.line)
        valid = Signal()
        row = Signal.like(self._row)
        offset = Signal.like(self.o.payload.address, reset_less=True)
        m.d.sync += [
            valid.eq(self._valid),
            row.eq(self._row),
            offset.eq(self._row.low[bits:] * layer.groups),
            self.o.valid.eq(valid),
            self.o.payload.address.eq(layer.in_base + offset + row.group),
            self.o.payload.lines.eq(Mux(row.empty, 0, row.high[bits:] - row.low[bits:])),
            self.o.payload.first.eq(row.low[:bits]),
            self.o.payload.last.eq(row.high[:bits]),
            self.o.payload.weight.eq(row.weight - row.low[:bits]),
            self.o.payload.empty.eq(row.empty),
            self.o.payload.end.eq(row.end),
            self.o.payload.final.eq(row.final),
        ]
