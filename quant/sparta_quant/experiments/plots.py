"""Plots of the experiments, as PNG files."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

from sparta_hw.files import write_atomic
from sparta_quant.experiments.maps import Maps
from sparta_quant.experiments.tables import Table
from sparta_quant.experiments.trials import Outcome

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

__all__ = ["plot_maps", "plot_table", "plot_variance"]

_OURS, _PAPER = "#1f6f8b", "#c9c9c9"


def plot_table(path: Path, table: Table, outcomes: Mapping[str, Outcome], data: str) -> None:
    """Accuracy of each row, the paper's beside it."""
    figure, axes = plt.subplots(figsize=(8, 0.45 * len(table.rows) + 1.6), layout="constrained")
    places = range(len(table.rows))
    ours = [100 * outcomes[row.label].accuracy for row in table.rows]
    paper = [row.paper["accuracy"] for row in table.rows]
    axes.barh([n - 0.2 for n in places], ours, 0.4, color=_OURS, label=f"here, {data}")
    axes.barh([n + 0.2 for n in places], paper, 0.4, color=_PAPER, label="paper, DVS-Gesture")
    for n, value in enumerate(ours):
        axes.text(value, n - 0.2, f" {value:.1f}", va="center", fontsize=8)
    axes.set_yticks(list(places), [row.label for row in table.rows], fontsize=8)
    axes.set_xlim(min(*ours, *paper) - 5, 102)
    axes.set_xlabel("accuracy (%)")
    axes.set_title(f"Table {table.number}: {table.title}", fontsize=10)
    axes.invert_yaxis()
    figure.legend(fontsize=8, loc="outside lower right", ncols=2)
    _save(figure, path)


def plot_variance(path: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Spatial variance of first-spike times and inter-spike intervals (paper figure 4)."""
    size = (9, 0.4 * len(outcomes) + 1.2)
    figure, all_axes = plt.subplots(1, 2, figsize=size, sharey=True, layout="constrained")
    for axes, field, title in zip(
        all_axes,
        ("timing_variance", "interval_variance"),
        ("first-spike time (steps²)", "inter-spike interval (steps²)"),
        strict=True,
    ):
        axes.barh(list(outcomes), [getattr(outcome, field) for outcome in outcomes.values()], color=_OURS)
        axes.set_title(f"variance over tokens: {title}", fontsize=9)
        axes.tick_params(labelsize=8)
    all_axes[0].invert_yaxis()
    _save(figure, path)


def plot_maps(path: Path, samples: Sequence[tuple[str, Maps]]) -> None:
    """Input, firing rate, attention, top-K mask and variance of samples, a row each (paper figure 3)."""
    size = (13, 2.3 * len(samples))
    figure, grid = plt.subplots(len(samples), 6, figsize=size, squeeze=False, layout="constrained")
    for row, (label, maps) in zip(grid, samples, strict=True):
        pictures = (
            ("input", maps.input, "gray"),
            ("firing rate", maps.rate, "YlOrRd_r"),
            ("attention", maps.attention, "viridis"),
            ("top-K mask", maps.selected, "gray"),
            ("variance over time", maps.variance, "magma"),
        )
        for axes, (title, values, colours) in zip(row, pictures, strict=False):
            axes.imshow(values, cmap=colours)
            axes.set_title(title, fontsize=9)
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].set_ylabel(label, fontsize=9)
        row[5].bar(range(1, len(maps.spikes) + 1), maps.spikes, color=_OURS)
        row[5].set_title("spikes in each step", fontsize=9)
        row[5].tick_params(labelsize=7)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    write_atomic(path, buffer.getvalue())
