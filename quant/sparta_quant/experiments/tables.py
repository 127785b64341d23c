"""What the paper's Tables 1 to 4 vary, and what it measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sparta_quant.config import SpartaConfig

__all__ = ["TABLES", "Row", "Table", "base_config"]

_EQUATION_5_CUES = ("first", "interval", "rate")


@dataclass(frozen=True)
class Row:
    """One configuration of a table.

    Parameters
    ----------
    label : str
        As the paper has it.
    changes : mapping of str
        Fields of :class:`~sparta_quant.config.SpartaConfig` that differ from the base.
    paper : dict of str to float
        Accuracy in percent on DVS-Gesture, and more where the table has more.
    """

    label: str
    changes: Mapping[str, Any]
    paper: Mapping[str, float] = field(default_factory=dict)

    def config(self, base: SpartaConfig) -> SpartaConfig:
        """The network of this row; ``k_part``, a part of its tokens, becomes its fixed K."""
        changes = dict(self.changes)
        if "k_part" in changes:
            changes["default_k"] = round(base.tokens * changes.pop("k_part"))
        return replace(base, **changes)


@dataclass(frozen=True)
class Table:
    """One table of the paper: ``number``, ``title``, ``rows``, and the ``best`` row's label in the paper."""

    number: int
    title: str
    rows: tuple[Row, ...]

    @property
    def best(self) -> Row:
        """The row with the best accuracy in the paper."""
        return max(self.rows, key=lambda row: row.paper["accuracy"])


def base_config(config: SpartaConfig, steps: int) -> SpartaConfig:
    """What all rows vary: T, the deviations and the cues of the paper's ablations, K of each sample its own."""
    return replace(
        config,
        timesteps=steps,
        tau_sigma=0.3,
        v_sigma=0.2,
        msp_cues=_EQUATION_5_CUES,
        dynamic_k=True,
        default_k=0,
    )


def _timesteps(steps: int, accuracy: float, timing: float, interval: float) -> Row:
    paper = {"accuracy": accuracy, "timing_variance": timing, "interval_variance": interval}
    return Row(f"T = {steps}", {"timesteps": steps}, paper)


def _diversity(label: str, tau: float, threshold: float, accuracy: float) -> Row:
    return Row(label, {"tau_sigma": tau, "v_sigma": threshold}, {"accuracy": accuracy})


def _fixed(k: int, accuracy: float, gflops: float) -> Row:
    label = f"fixed, K = {k} of 256 ({100 - 100 * k / 256:.0f} % sparsity)"
    return Row(label, {"dynamic_k": False, "k_part": k / 256}, {"accuracy": accuracy, "gflops": gflops})


def _cues(label: str, cues: tuple[str, ...], accuracy: float) -> Row:
    return Row(label, {"msp_cues": cues}, {"accuracy": accuracy})


TABLES = (
    Table(
        1,
        "timesteps",
        (
            _timesteps(4, 88.89, 0.287, 1.81),
            _timesteps(8, 92.74, 0.288, 1.93),
            _timesteps(12, 94.73, 0.280, 1.92),
            _timesteps(16, 98.46, 0.288, 1.71),
            _timesteps(20, 98.78, 0.292, 1.82),
            _timesteps(32, 94.30, 0.287, 1.91),
        ),
    ),
    Table(
        2,
        "heterogeneity of HI-LIF (deviations of tau and of the threshold)",
        (
            _diversity("homogeneous (0, 0)", 0.0, 0.0, 96.53),
            _diversity("low tau diversity (0.2, 0)", 0.2, 0.0, 97.25),
            _diversity("high tau diversity (0.5, 0)", 0.5, 0.0, 94.36),
            _diversity("low threshold diversity (0, 0.1)", 0.0, 0.1, 96.27),
            _diversity("high threshold diversity (0, 0.3)", 0.0, 0.3, 92.43),
            _diversity("combined diversity (0.5, 0.3)", 0.5, 0.3, 89.83),
            _diversity("adjusted (0.3, 0.2)", 0.3, 0.2, 98.46),
        ),
    ),
    Table(
        3,
        "sparsity policy",
        (
            Row("dynamic", {}, {"accuracy": 98.78, "sparsity": 65.4, "gflops": 1.23}),
            _fixed(192, 98.30, 1.24),
            _fixed(128, 92.50, 1.21),
            _fixed(64, 78.03, 1.19),
        ),
    ),
    Table(
        4,
        "temporal cues of MSP",
        (
            _cues("full (alpha, beta, gamma)", _EQUATION_5_CUES, 98.46),
            _cues("without alpha (timing)", ("interval", "rate"), 96.94),
            _cues("without beta (interval)", ("first", "rate"), 95.56),
            _cues("without gamma (firing rate)", ("first", "interval"), 92.26),
            _cues("without alpha, beta", ("rate",), 94.61),
            _cues("without alpha, gamma", ("interval",), 89.16),
            _cues("without beta, gamma", ("first",), 91.38),
            _cues("without alpha, beta, gamma", (), 85.0),
        ),
    ),
)
"""Accuracies are those on DVS-Gesture."""
