"""Where the cycles of an inference go: one bar a descriptor, filled as far as its critical resource forces it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

__all__ = ["TIMELINE_FILE", "Bar", "Level", "level_layers", "timeline"]

TIMELINE_FILE = "timeline.svg"

_LEFT, _WIDTH, _ROW, _GAP, _TOP = 90, 900, 18, 44, 54
_COLOURS = {
    "entries": "#2b6cb0",
    "steps": "#b7791f",
    "lines": "#805ad5",
    "multiplications": "#2f855a",
    "tokens": "#c53030",
}
_NAMES = {
    "entries": "active entries",
    "steps": "HI-LIF steps, bit planes",
    "lines": "spike lines read",
    "multiplications": "multiplications",
    "tokens": "tokens one by one",
}
_REST = "#e2e8f0"
_LETTER = 7
"""Pixels, on the large side."""


@dataclass(frozen=True)
class Bar:
    """One descriptor.

    Parameters
    ----------
    node, unit : str
        ONNX node, and the unit that runs it.
    start, cycles, limit : float
        Cycles since the inference's begin, of the descriptor, and of its critical resource alone.
    resource : str
        See :class:`~sparta_sim.limits.Limit`.
    """

    node: str
    unit: str
    start: float
    cycles: float
    limit: float
    resource: str


@dataclass(frozen=True)
class Level:
    """A request for K (0: each sample's own), its mean, mean cycles of an inference, and the descriptors in order.

    ``tokens`` is N; 0 for a network without, whose K means nothing.
    """

    tokens: int
    k: int
    k_mean: float
    cycles: float
    measured: bool
    bars: tuple[Bar, ...]

    @property
    def label(self) -> str:
        """K, for a reader."""
        if not self.tokens:
            return "all samples"
        return f"K = {self.k}" if self.k else f"each sample's own K, mean {self.k_mean:.1f}"

    @property
    def limit(self) -> float:
        """Of the whole inference."""
        return sum(bar.limit for bar in self.bars)


def level_layers(report: Mapping[str, Any]) -> tuple[Level, ...]:
    """Levels of section ``cosim``, or of ``estimate`` where nothing was simulated; none without either."""
    if cosim := report.get("cosim"):
        return tuple(_level(cosim, run, run["cycles"]["measured_mean"], "measured") for run in cosim["runs"])
    if estimate := report.get("estimate"):
        return tuple(_level(estimate, run, run["cycles_mean"], "predicted") for run in estimate["runs"])
    return ()


def _level(section: Mapping[str, Any], run: Mapping[str, Any], total: float, column: str) -> Level:
    """Between descriptors the sequencer fetches the next one: the rest of the cycles, in equal parts."""
    layers = run["layers"]
    fetch = (total - sum(layer[column] for layer in layers)) / (len(layers) + 1)
    bars, now = [], fetch
    for layer in layers:
        bars.append(Bar(layer["node"], layer["unit"], now, layer[column], layer["limit"], layer["resource"]))
        now += layer[column] + fetch
    tokens = section["network"]["tokens"]
    return Level(tokens, run["k"], run["k_mean"], total, column == "measured", tuple(bars))


def timeline(report: Mapping[str, Any]) -> str | None:
    """An SVG with a panel for each K on one scale of cycles, or None when the report has no cycles.

    A row a unit. A bar is as long as its descriptor; the filled part is what the critical resource takes alone, so
    that pale parts are cycles in which it waits.
    """
    levels = level_layers(report)
    if not levels:
        return None
    longest = max(level.cycles for level in levels)
    units = list(dict.fromkeys(bar.unit for level in levels for bar in level.bars))
    panel = len(units) * _ROW + _GAP
    height = _TOP + panel * len(levels)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 20}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        *_legend(),
    ]
    for n, level in enumerate(levels):
        lines += _panel(level, units, _TOP + n * panel, _WIDTH / longest)
    return "\n".join([*lines, "</svg>", ""])


def _legend() -> Iterator[str]:
    x = _LEFT
    for resource, colour in (*_COLOURS.items(), ("", _REST)):
        yield f'<rect x="{x}" y="12" width="12" height="12" fill="{colour}"/>'
        name = _NAMES.get(resource, "waiting")
        yield f'<text x="{x + 18}" y="22">{name}</text>'
        x += 40 + _LETTER * len(name)


def _panel(level: Level, units: list[str], top: float, scale: float) -> Iterator[str]:
    kind = "measured" if level.measured else "modelled"
    title = f"{level.label}: {level.cycles:,.0f} cycles {kind}, {level.cycles / level.limit:.3f} of the limit"
    yield f'<text x="{_LEFT}" y="{top}" font-weight="bold">{title}</text>'
    for row, unit in enumerate(units):
        y = top + 8 + row * _ROW
        yield f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(unit)}</text>'
        yield f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y + _ROW - 1}" y2="{y + _ROW - 1}" stroke="#edf2f7"/>'
        for bar in level.bars:
            if bar.unit == unit:
                yield _drawn(bar, y + 2, scale)


def _drawn(bar: Bar, y: float, scale: float) -> str:
    x, width = _LEFT + bar.start * scale, max(bar.cycles * scale, 0.5)
    forced = min(bar.limit * scale, width)
    colour = _COLOURS.get(bar.resource, _REST)
    told = f"{bar.node}: {bar.cycles:,.0f} cycles"
    if bar.resource:
        told += f", {_NAMES[bar.resource]} alone {bar.limit:,.0f}"
    return (
        f"<g><title>{escape(told)}</title>"
        f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{_ROW - 5}" fill="{_REST}" stroke="#718096"'
        ' stroke-width="0.4"/>'
        f'<rect x="{x:.2f}" y="{y}" width="{forced:.2f}" height="{_ROW - 5}" fill="{colour}"/></g>'
    )
