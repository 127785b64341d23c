"""The paper's ablations on a data set: Tables 1 to 4, figures 3 and 4, trained here, the paper's numbers beside them.

Every row is a training of its own; rows with the same configuration share one. Run it again to go on where it stopped.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sparta_hw.commands.options import add_output, make_output, positive, tune_torch

if TYPE_CHECKING:
    from sparta_quant.config import SpartaConfig
    from sparta_quant.experiments.trials import Trials
    from sparta_quant.training import TrainSettings

NAME = "experiment"
HELP = "the paper's Tables 1-4 and figures 3-4 on a data set"
EXAMPLE = "example: sparta-hw experiment N-MNIST --epochs 8 --train-samples 2000 -o build/experiment"

_COST_SAMPLES = 5
_MAP_SAMPLES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", help="data set: a file or folder in a supported layout, or digits")
    parser.add_argument(
        "--network", default="nmnist", help="that rows vary, by name or a JSON file (default: nmnist)"
    )
    parser.add_argument(
        "--steps", type=positive, default=16, help="T of all rows but those of Table 1 (default: 16)"
    )
    parser.add_argument("--tables", type=int, nargs="+", choices=(1, 2, 3, 4), default=[1, 2, 3, 4])
    parser.add_argument("--epochs", type=positive, help="passes in floats (default: the network's)")
    parser.add_argument(
        "--finetune-epochs", type=positive, help="passes on the grids (default: the network's)"
    )
    parser.add_argument(
        "--train-samples", type=positive, metavar="N", help="train on N samples (default: all)"
    )
    parser.add_argument("--test-samples", type=positive, metavar="N", help="test on N samples (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument("--core", help="core for the costs of Table 3 (default: the network's own)")
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Write experiment.md, experiment.json, a plot for each table and figure, and the trained networks."""
    tune_torch()

    import json
    from dataclasses import asdict, replace

    from sparta_hw.errors import ConfigError
    from sparta_hw.files import write_text
    from sparta_quant.data import check_has_splits, open_dataset
    from sparta_quant.experiments.plots import plot_table, plot_variance
    from sparta_quant.experiments.report import table_section
    from sparta_quant.experiments.tables import TABLES, base_config
    from sparta_quant.experiments.trials import Trials
    from sparta_quant.named import core_name, named_network
    from sparta_quant.training import default_settings

    check_has_splits(options.data)
    named = named_network(options.network)
    if not named.tokens:
        raise ConfigError(f"network {named.name!r} counts spikes; the paper's ablations need one with tokens")
    given = {
        name: getattr(options, name)
        for name in ("epochs", "finetune_epochs")
        if getattr(options, name) is not None
    }
    settings = replace(default_settings(named.name), seed=options.seed, **given)
    test_set = open_dataset(options.data, "test", steps=options.steps, size=named.input[1:])
    base = base_config(replace(named, classes=len(test_set.classes)), options.steps)
    folder = make_output(options.output)
    trials = Trials(folder / "trials", options.data, settings, options.train_samples, options.test_samples)
    tables = [table for table in TABLES if table.number in options.tables]
    outcomes = trials.run_all(
        {f"{table.number} {row.label}": row.config(base) for table in tables for row in table.rows}
    )
    sections = [_heading(test_set.name, base, settings, trials)]
    for table in tables:
        of_rows = {row.label: outcomes[f"{table.number} {row.label}"] for row in table.rows}
        cost = {}
        if table.number == 3:
            core = options.core or core_name(named.name)
            cost = {row.label: _cost(trials, row.config(base), core) for row in table.rows}
        plot_table(folder / f"table{table.number}.png", table, of_rows, test_set.name)
        sections.append(table_section(table, of_rows, cost, f"table{table.number}.png"))
        if table.number == 2:
            plot_variance(folder / "figure4.png", of_rows)
            sections.append(
                "## Figure 4: temporal variance\n\nVariance over a sample's tokens, mean over the test set, by "
                "heterogeneity of the same network; the paper compares other architectures.\n\n"
                "![Figure 4](figure4.png)\n"
            )
    _plot_maps(trials, base, folder)
    sections.append("## Figure 3: what the network looks at\n\n![Figure 3](figure3.png)\n")
    write_text(folder / "experiment.md", "\n".join(sections))
    results = {label: asdict(outcome) for label, outcome in outcomes.items()}
    write_text(folder / "experiment.json", json.dumps(results, indent=2) + "\n")
    print(folder / "experiment.md")


def _heading(data: str, base: "SpartaConfig", settings: "TrainSettings", trials: "Trials") -> str:
    train_set, test_set = trials.sets(base)
    error = 100 * (0.09 / len(test_set)) ** 0.5
    return "\n".join(
        (
            f"# The paper's ablations on {data}",
            "",
            f"Network {base.name!r}, {base.tokens} tokens, T = {base.timesteps} where a table does not vary it;",
            f"{len(train_set)} training and {len(test_set)} test samples, {settings.epochs} epochs in floats and",
            f"{settings.finetune_epochs} on the grids, one seed. The paper trains 300 epochs on DVS-Gesture with 256",
            "tokens, three seeds: compare orders, not values.",
            f"An accuracy of 90 % has a standard error of {error:.1f} points here.",
            "",
        )
    )


def _cost(trials: "Trials", config: "SpartaConfig", core: str) -> tuple[float, float]:
    """Mean cycles and nanojoule of an inference of the trained network, from the models."""
    from tempfile import TemporaryDirectory

    from sparta_hw.config import load_config
    from sparta_hw.passes import compile_model
    from sparta_hw.vectors import load_vectors
    from sparta_quant.checkpoint import load_checkpoint
    from sparta_quant.export import export_onnx, export_vectors
    from sparta_sim.measure import measure_estimate

    network, _ = load_checkpoint(trials.network_file(config))
    samples = trials.sets(config)[1].spread(_COST_SAMPLES)
    with TemporaryDirectory() as scratch:
        model, vectors = Path(scratch) / "model.onnx", Path(scratch) / "vectors.npz"
        export_onnx(network, model)
        export_vectors(network, samples.spikes, samples.labels, vectors)
        program = compile_model(model, load_config(core))
        level = measure_estimate(program, [load_vectors(vectors)])["runs"][0]
    return level["cycles_mean"], level["energy"]["total_pj"] / 1000


def _plot_maps(trials: "Trials", config: "SpartaConfig", folder: Path) -> None:
    from sparta_quant.checkpoint import load_checkpoint
    from sparta_quant.experiments.maps import maps_of
    from sparta_quant.experiments.plots import plot_maps
    from sparta_quant.networks import with_tokens

    trials.outcome(config)
    network, _ = load_checkpoint(trials.network_file(config))
    samples = trials.sets(config)[1].spread(_MAP_SAMPLES)
    pictures = [
        (samples.classes[samples.labels[n]], maps_of(with_tokens(network), samples, n))
        for n in range(len(samples))
    ]
    plot_maps(folder / "figure3.png", pictures)
