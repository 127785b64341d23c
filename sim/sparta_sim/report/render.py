"""A report as Markdown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from sparta_sim.report.timeline import TIMELINE_FILE, level_layers

__all__ = ["render", "summary"]

Section = Mapping[str, Any]

_OF_TOKENS = frozenset(
    {
        "K",
        "sparsity",
        "token sparsity",
        "attention block",
        "legacy: attention block",
        "selection",
        "attention",
    }
)
"""Columns that mean nothing for a network without tokens."""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], tokens: bool = True) -> Iterator[str]:
    kept = [n for n, name in enumerate(head) if tokens or name not in _OF_TOKENS]
    yield "| " + " | ".join(head[n] for n in kept) + " |"
    yield "|" + " --- |" * len(kept)
    for row in rows:
        yield "| " + " | ".join(str(row[n]) for n in kept) + " |"
    yield ""


def _has_tokens(report: Section) -> bool:
    measured = report.get("cosim") or report.get("estimate")
    return bool(measured is None or measured["network"]["tokens"])


def _level(run: Section, tokens: bool) -> str:
    """How a run is called in a sentence: empty without tokens."""
    return f" at {run['sparsity_percent']:.1f} % token sparsity (K = {run['k']})" if tokens else ""


def _count(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def _nj(picojoule: float) -> str:
    return f"{picojoule / 1000:,.2f}"


def _percent(value: float) -> str:
    return f"{value:.2%}"


def _device(part: Section) -> str:
    return f"{part['device']}, speed grade {part['grade']}"


def _fmax(part: Section) -> str:
    """MHz of a synthesis: of its only placer seed, or of the best one and the median of all."""
    of_seeds = [seed["fmax_mhz"] for seed in part["seeds"]]
    if len(of_seeds) == 1:
        return f"{part['fmax_mhz']:.1f} MHz (one placer seed)"
    return (
        f"{part['fmax_mhz']:.1f} MHz, the best of {len(of_seeds)} placer seeds, median {median(of_seeds):.1f}"
    )


def render(report: Section) -> str:
    """The whole page."""
    lines: list[str] = []
    measured = report.get("cosim") or report.get("estimate")
    title = (
        f"{measured['network']['name']} on core {measured['network']['core']['name']}"
        if measured
        else "report"
    )
    lines += [f"# {title}", "", summary(report), ""]
    tokens = _has_tokens(report)
    writers = {"training": _training, "cosim": _cosim, "estimate": _energy}
    for name, writer in writers.items():
        if name in report:
            lines += writer(report[name], tokens)
    if "synth" in report:
        lines += _synthesis(report["synth"])
    lines += _limits(report)
    lines += ["## Made with", "", *(f"    {command}" for command in report["commands"]), ""]
    lines += [", ".join(f"{name} {version}" for name, version in report["versions"].items()), ""]
    return "\n".join(lines)


def summary(report: Section) -> str:
    """A few lines for the terminal."""
    lines, tokens = [], _has_tokens(report)
    if "training" in report:
        part = report["training"]
        lines.append(
            f"accuracy: float {_percent(part['float_accuracy'])},"
            f" quantised {_percent(part['reproduced_accuracy'])} ({part['test_samples']} test samples)"
        )
    if "cosim" in report:
        part = report["cosim"]
        lines.append(
            f"co-simulation: {part['inferences']} inferences, {part['elements_compared']:,} layer values"
            f" compared, {part['mismatches']} inferences with a mismatch"
        )
        for run in part["runs"]:
            cycles = run["cycles"]
            lines.append(
                f"cycles{_level(run, tokens)}:"
                f" {_count(cycles['measured_mean'])} measured, {_count(cycles['predicted_mean'])} predicted"
            )
    if "estimate" in report:
        for run in report["estimate"]["runs"]:
            energy = run["energy"]
            block = f", attention block {_nj(energy['attention_block_pj'])} nJ" if tokens else ""
            lines.append(
                f"energy{_level(run, tokens)}: {_nj(energy['total_pj'])} nJ{block} (modelled, 45 nm)"
            )
    if "synth" in report:
        part = report["synth"]
        lines.append(
            f"{_device(part)}: {part['lut_eq']:,} LUT-eq, {part['ff']:,} FF,"
            f" {part['bram']} BRAM, {part['dsp']} DSP, {_fmax(part)}"
        )
        stale = "cosim" in report and report["cosim"]["core_key"] != part["core_key"]
        if stale:
            lines.append(
                "these numbers are of another core than the co-simulation: run sparta-hw synth again"
            )
        for run in report["cosim"]["runs"] if "cosim" in report and not stale else ():
            micros = run["cycles"]["measured_mean"] / part["fmax_mhz"]
            lines.append(f"an inference at that clock: {micros:,.1f} us{_level(run, tokens)}")
    return "\n".join(f"- {line}" for line in lines)


def _training(part: Section, tokens: bool) -> Iterator[str]:
    yield from ("## Accuracy", "", f"Measured in PyTorch on {part['test_samples']} test samples.", "")
    rows = [("float", "default", _percent(part["float_accuracy"]))]
    rows.append(("quantised, deployed integers", "default", _percent(part["reproduced_accuracy"])))
    if tokens:
        rows += [("quantised", k, _percent(value)) for k, value in part["accuracy_of_k"].items()]
    yield from _table(("network", "K", "accuracy"), rows, tokens)


def _cosim(part: Section, tokens: bool) -> Iterator[str]:
    yield from ("## Co-simulation", "")
    yield (
        f"Verilator against test vectors and interpreter: {part['inferences']} inferences, every element of"
        f" every layer ({part['elements_compared']:,} values), **{part['mismatches']} inferences with a"
        " mismatch**."
    )
    if part["stalls"]:
        yield f"Both streams paused with probability {part['stalls']} in each cycle: cycles include waiting."
    yield ""
    yield from _table(
        ("sparsity", "K", "samples", "mismatches", "accuracy", "cycles measured", "min", "max", "predicted"),
        (
            (
                f"{run['sparsity_percent']:.1f} %", run["k"], run["samples"], run["mismatches"],
                _percent(run["accuracy"]), _count(run["cycles"]["measured_mean"]),
                _count(run["cycles"]["measured_min"]), _count(run["cycles"]["measured_max"]),
                _count(run["cycles"]["predicted_mean"]),
            )
            for run in part["runs"]
        ),
        tokens,
    )  # fmt: skip
    yield from ("### Cycles by layer", "", "Means over the samples, measured (predicted).", "")
    yield from _table(
        ("layer", "unit", "active entries", *(f"K = {run['k']}" if tokens else "cycles" for run in part["runs"])),
        (
            (
                layers[0]["node"], layers[0]["unit"], _count(layers[0]["entries"]),
                *(f"{_count(layer['measured'])} ({_count(layer['predicted'])})" for layer in layers),
            )
            for layers in zip(*(run["layers"] for run in part["runs"]), strict=True)
        ),
    )  # fmt: skip
    attention = part["attention"]
    points = attention["points"]
    if not points:
        return
    yield from ("### Attention over K", "")
    yield from _table(
        ("K", "cycles measured", "predicted"), ((p["k"], p["measured"], p["predicted"]) for p in points)
    )
    if attention["fit"]:
        fit = attention["fit"]
        yield f"Least squares: {fit['a']:.3f} K² + {fit['b']:.2f} K + {fit['c']:.1f}, R² = {fit['r2']:.6f}."
        yield ""


def _limits(report: Section) -> Iterator[str]:
    levels = level_layers(report)
    if not levels:
        return
    yield from ("## Cycles against their limit", "")
    yield (
        "The limit of a layer is what its critical resource takes alone: active entries, one a cycle; HI-LIF steps"
        " or bit planes of all neurons; spike lines read; multiplications; tokens one by one. Pool, feedback: none."
    )
    yield from ("", f"![where the cycles of an inference go]({TIMELINE_FILE})", "")
    yield from _table(
        ("run", "cycles", "limit", "cycles / limit"),
        (
            (level.label, _count(level.cycles), _count(level.limit), f"{level.cycles / level.limit:.3f}")
            for level in levels
        ),
    )


def _energy(part: Section, tokens: bool) -> Iterator[str]:
    yield from ("## Energy", "")
    yield (
        "Modelled: operations and memory accesses counted from each sample's spikes, times the 45 nm figures"
        " of the ISSCC 2014 keynote on computing's energy problem. Clock tree, control, leakage and"
        " input/output are not in it. nJ an inference."
    )
    yield ""
    runs = part["runs"]
    if not runs:
        return
    parts, blocks = list(runs[0]["energy"]["parts_pj"]), list(runs[0]["energy"]["blocks_pj"])
    yield from _table(
        ("token sparsity", "K", "whole model", *blocks, "legacy: whole model", "legacy: attention block"),
        (
            (
                f"{run['sparsity_percent']:.1f} %", run["k"], _nj(run["energy"]["total_pj"]),
                *(_nj(run["energy"]["blocks_pj"][block]) for block in blocks),
                _nj(run["energy"]["legacy_pj"]["total"]), _nj(run["energy"]["legacy_pj"]["attention block"]),
            )
            for run in runs
        ),
        tokens,
    )  # fmt: skip
    yield (
        "The legacy columns are what spiking network papers print: 0.9 pJ a synaptic operation and 4.6 pJ a"
        " multiply-accumulate in 32-bit floats, without memories. They are not comparable with the others."
    )
    yield ""
    yield from _table(
        ("token sparsity", *parts),
        (
            (f"{run['sparsity_percent']:.1f} %", *(_nj(run["energy"]["parts_pj"][name]) for name in parts))
            for run in runs
        ),
        tokens,
    )
    rates = ", ".join(f"{name} {_percent(rate)}" for name, rate in part["spike_rates"].items())
    yield from (f"Spike rates (spikes a neuron and step): {rates}.", "")


def _synthesis(part: Section) -> Iterator[str]:
    yield from ("## Synthesis", "", f"Core {part['core']} on {_device(part)}, after place and route.", "")
    numbers = (part[name] for name in ("lut_eq", "lut4", "ccu2c", "lutram", "ff", "bram", "dsp"))
    row = (*(f"{number:,}" for number in numbers), f"{part['fmax_mhz']:.1f} MHz")
    yield from _table(("LUT-eq", "LUT4", "CCU2C", "LUT RAM", "FF", "BRAM", "DSP", "Fmax"), [row])
    yield from ("LUT-eq = LUT4 + 2 x CCU2C; BRAM is DP16KD, DSP is MULT18X18D.", "")
    seeds = ", ".join(f"{seed['fmax_mhz']:.1f} (seed {seed['seed']})" for seed in part["seeds"])
    path = part["critical_path"]
    yield from (f"Fmax in MHz of each placer seed: {seeds}.", "")
    yield from (
        f"Critical path: {path['logic_ns']:.1f} ns logic, {path['routing_ns']:.1f} ns routing, register to register.",
        "",
    )
    yield from _table(
        ("source line", "logic, ns", "routing, ns"),
        (
            (step["source"] or step["cell"], f"{step['logic_ns']:.2f}", f"{step['routing_ns']:.2f}")
            for step in path["steps"]
        ),
    )
