"""Times of entries before they are accumulated: rows, lines, entries (``rows.py``, ``scanner.py``, ``issue.py``)."""

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from typing import NamedTuple

from sparta_rtl.scanner import QUEUE_LINES
from sparta_sim.windows import positions

__all__ = ["NEW_POSITION", "IssueTimes", "Row", "issued_rows"]

_FIRST_ROW = 6
"""From ``start`` to the first row: columns, clip, row, product, line address, row register."""
NEW_POSITION = 2
"""Columns, clip."""
_READ = 4
"""From a line's read to the queue's output of the one before it: block RAM, register, mask, queue."""
_HELD = 5
"""The same of a group's last line itself."""


class Row(NamedTuple):
    """Entries ``low .. high - 1``, ``gap`` cycles after the row before; empty if ``high <= low``."""

    gap: int
    low: int
    high: int


def issued_rows(fields: Mapping[str, int], topk: int) -> Iterator[list[Row]]:
    """Issued rows of each position."""
    pitch, run = fields["row_pitch"], fields["run"]
    rows_of_positions, columns = positions(fields, topk)
    height, kernel = fields["in_height"], fields["kernel_height"]
    for y in range(rows_of_positions):
        top = y * fields["y_step"] - fields["pad"]
        input_rows = range(top, max(top, min(top + kernel, height) - 1) + 1)
        if top >= height:
            input_rows = range(top, top + kernel)
        for x in range(columns):
            column = x * fields["x_step"] - fields["x_start"]
            left, right = max(column, 0), min(column + run, pitch)
            rows, gap = [], 1
            for iy in input_rows:
                inside = 0 <= iy < height and left < right
                if inside:
                    rows.append(Row(gap, iy * pitch + left, iy * pitch + right))
                elif iy == input_rows[-1]:
                    rows.append(Row(gap, 0, 0))
                gap = 1 if inside else gap + 1
            yield rows


class IssueTimes:
    """Times, in cycles since ``start``, of the last event of each kind: rows, lines, entries."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._kept = _FIRST_ROW - 1 - NEW_POSITION
        self._accepted = (-1, -1)
        self._read = 0
        self._room = [0] * QUEUE_LINES
        self._held = 0  # entries of a line that waits for another one
        self.issued = 0
        self.entries = 0

    @property
    def state(self) -> tuple[int, ...]:
        """What later times depend on."""
        return (self._kept, *self._accepted, self._read, self.issued, *sorted(self._room))

    def open(self, cycle: int) -> None:
        """The next tile's lines are accepted from then on."""
        self.issued = max(self.issued, cycle)

    def row(self, gap: int, row: Row, before: list[int], end: bool) -> None:
        """One row: scanned and issued line by line. ``before[e]`` counts active entries below e."""
        low, high = row.low, row.high
        before_last, last_row = self._accepted
        self._kept = max(self._kept + gap, before_last + 1)
        accepted = max(self._kept + 1, self._read)
        self._accepted = (last_row, accepted)
        self._read = max(self._read, accepted)
        while True:
            stop = min(low // self._line * self._line + self._line, high)
            count = before[stop] - before[low] if low < high else 0
            last = end and stop == high
            self._read = read = max(self._read + 1, heappop(self._room))
            if (count or last) and self._held:
                self._issue(self._held, read + _READ)
                self._held, dropped = 0, not count
            else:
                dropped = not (count or last)
            if dropped:
                heappush(self._room, read + _READ + 1)
            elif last:
                self._issue(count, read + _HELD)
            else:
                self._held = count
            if stop == high:
                return
            low = stop

    def _issue(self, entries: int, there: int) -> None:
        """A line that is at the queue's output in that cycle; one without entries takes a cycle, too."""
        load = max(there, self.issued)
        self.issued = load + max(entries, 1)
        self.entries += entries
        heappush(self._room, load + 2)
