"""Strict readers of the tools' JSON reports: a number that is not there is an error, never a zero."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparta_hw.errors import InputFileError

__all__ = [
    "Resources",
    "load_report",
    "lut_equivalents",
    "number",
    "parse_place",
    "parse_reports",
]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a design takes of an ECP5, after place and route.

    Parameters
    ----------
    lut4, ccu2c : int
        Look-up tables and 2-bit carry cells, synthesised (yosys).
    ff, bram, dsp : int
        TRELLIS_FF, DP16KD (18 kbit) and MULT18X18D, placed (nextpnr).
    lutram : int
        TRELLIS_DPR16X4: 16 x 4 bits of RAM in logic cells, synthesised (yosys).
    comb : int
        Logic cells of all kinds, placed (nextpnr).
    fmax_mhz : float
        Of the slowest clock, routed (nextpnr).
    """

    lut4: int
    ccu2c: int
    lutram: int
    comb: int
    ff: int
    bram: int
    dsp: int
    fmax_mhz: float

    @property
    def lut_eq(self) -> int:
        """LUT4 + 2 x CCU2C: the common measure of logic."""
        return lut_equivalents({"LUT4": self.lut4, "CCU2C": self.ccu2c})


def lut_equivalents(cells: Mapping[str, int]) -> int:
    """LUT4 + 2 x CCU2C of cells by type; a type that is not there does not occur."""
    return cells.get("LUT4", 0) + 2 * cells.get("CCU2C", 0)


def load_report(path: Path, tool: str) -> dict[str, Any]:
    """A tool's report.

    Raises
    ------
    InputFileError
        The file is missing or not a JSON object.
    """
    try:
        report = json.loads(path.read_text())
    except OSError as error:
        raise InputFileError(f"{path}: cannot read the {tool} report: {error.strerror}") from error
    except ValueError as error:
        raise InputFileError(f"{path}: not a {tool} report: {error}") from error
    if not isinstance(report, dict):
        raise InputFileError(f"{path}: not a {tool} report")
    return report


def number(report: Mapping[str, Any], keys: tuple[str, ...], path: Path, kind: type) -> Any:
    """The number under ``keys``; ``path`` is named where there is none.

    Raises
    ------
    InputFileError
        It is not there, or not a number.
    """
    value: Any = report
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, (int, kind)):
        raise InputFileError(f"{path}: the report has no number {'/'.join(keys)}")
    return kind(value)


def parse_place(path: Path) -> tuple[dict[str, int], float]:
    """Cells in use by type, and the frequency in MHz of the slowest clock, from nextpnr ``--report``.

    Raises
    ------
    InputFileError
        The file is missing, not such a report, or lacks a number.
    """
    report = load_report(path, "nextpnr")
    used = report.get("utilization")
    clocks = report.get("fmax")
    if not isinstance(used, dict) or not used:
        raise InputFileError(f"{path}: the report has no utilization")
    if not isinstance(clocks, dict) or not clocks:
        raise InputFileError(
            f"{path}: the report has no fmax: was the design routed, and does it have a clock?"
        )
    cells = {name: number(used, (name, "used"), path, int) for name in used}
    return cells, min(number(clocks, (name, "achieved"), path, float) for name in clocks)


def parse_reports(synthesised: Mapping[str, int], place: Path) -> Resources:
    """Resources of a routed design from its cells by type, and from nextpnr's report.

    Raises
    ------
    InputFileError
        The report is missing or incomplete.
    """
    placed, fmax_mhz = parse_place(place)
    for name in ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D"):
        number(placed, (name,), place, int)
    return Resources(
        lut4=synthesised["LUT4"],
        ccu2c=synthesised.get("CCU2C", 0),
        lutram=synthesised.get("TRELLIS_DPR16X4", 0),
        comb=placed["TRELLIS_COMB"],
        ff=placed["TRELLIS_FF"],
        bram=placed["DP16KD"],
        dsp=placed["MULT18X18D"],
        fmax_mhz=fmax_mhz,
    )
