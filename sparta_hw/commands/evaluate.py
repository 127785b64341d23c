"""Accuracy, K and spike rates of a trained network on any data set: in floats, quantised, and as integers.

The integers are those of the ONNX file in the interpreter; every logit must equal the quantised network's. With --rtl N
N of the samples also run on the generated core in Verilator, and every layer is compared bit for bit.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparta_hw.commands.options import make_output, positive, tune_torch

if TYPE_CHECKING:
    from sparta_hw.ir import Graph
    from sparta_quant.data import Dataset
    from sparta_quant.spiking_network import SpikingNetwork

NAME = "evaluate"
HELP = "accuracy of the float, the quantised and the integer network on a data set"
EXAMPLE = "example: sparta-hw evaluate build/nmnist/network.pt N-MNIST --rtl 5 --core nmnist"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", type=Path, help="network.pt of sparta-hw train")
    parser.add_argument("data", help="data set: a file or folder in a supported layout, or digits")
    parser.add_argument(
        "--split", choices=("train", "test"), default="test", help="part of the data (default: test)"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="only N samples, spread over all")
    parser.add_argument(
        "-k", type=int, help="tokens that attend, or 0 for each sample's own (default: the network's)"
    )
    parser.add_argument(
        "--rtl", type=positive, metavar="N", help="also co-simulate N samples, spread over all"
    )
    parser.add_argument("--core", help="core to simulate: a name or a JSON file (default: the network's own)")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder for evaluation.json")


def run(options: argparse.Namespace) -> None:
    """Print one line a model; with -o write evaluation.json."""
    tune_torch()

    import json
    from dataclasses import asdict
    from tempfile import TemporaryDirectory

    from sparta_hw.files import write_text
    from sparta_hw.onnx_import import import_model
    from sparta_quant.checkpoint import has_float_network, load_checkpoint, load_float_network
    from sparta_quant.data.fit import open_fitting
    from sparta_quant.evaluate import evaluate
    from sparta_quant.export import export_onnx
    from sparta_quant.named import core_name

    network, _ = load_checkpoint(options.network)
    config = network.config
    dataset = open_fitting(options.data, options.split, config)
    if options.limit:
        dataset = dataset.spread(options.limit)
    print(
        f"{config.name} on {dataset.name}, {options.split}: {len(dataset)} samples, {len(dataset.classes)} classes"
    )
    results: dict[str, Any] = {"data": dataset.name, "split": options.split, "samples": len(dataset)}
    if has_float_network(options.network):
        results["float"] = asdict(
            evaluate(load_float_network(options.network), dataset, options.k, progress=True)
        )
    results["quantised"] = asdict(evaluate(network, dataset, options.k, progress=True))
    with TemporaryDirectory() as scratch:
        export_onnx(network, Path(scratch) / "model.onnx")
        graph = import_model(Path(scratch) / "model.onnx")
        results["integer"] = _evaluate_integers(graph, network, dataset, options.k)
        for name in ("float", "quantised", "integer"):
            if name in results:
                print(_line(name, results[name]))
        if options.rtl:
            results["rtl"] = _co_simulate(
                graph,
                network,
                dataset.spread(options.rtl),
                options.k,
                options.core or core_name(config.name),
                Path(scratch),
            )
    if options.output:
        path = make_output(options.output) / "evaluation.json"
        write_text(path, json.dumps(results, indent=2) + "\n")
        print(path)


def _line(name: str, result: dict[str, Any]) -> str:
    rates = ", ".join(f"{layer} {rate:.3f}" for layer, rate in result["firing_rates"].items())
    return f"  {name:9}  {result['accuracy']:7.2%}   mean K {result['mean_k']:5.1f}   spike rates: {rates}"


def _evaluate_integers(
    graph: "Graph", network: "SpikingNetwork", dataset: "Dataset", k: int | None, batch: int = 50
) -> dict[str, Any]:
    """The interpreter over the data set; its logits against the quantised network's."""
    import numpy as np
    import torch
    from tqdm import tqdm

    from sparta_hw.errors import MismatchError
    from sparta_hw.interpreter import run as interpret

    correct, tokens, rates = 0, 0, dict.fromkeys(network.spike_names, 0.0)
    for start in tqdm(range(0, len(dataset), batch), unit="batch", desc="evaluating integers"):
        part = dataset.subset(slice(start, start + batch))
        tensors = interpret(graph, part.spikes, k)
        inputs = part.unpacked(part.tensor(torch.arange(len(part))))
        expected = network.layer_integers(inputs, k)["logits"].numpy()
        if (different := tensors["logits"] != expected).any():
            sample, logit = (int(n) for n in np.argwhere(different)[0])
            raise MismatchError(
                f"sample {start + sample}, logit {logit}: the quantised network has {expected[sample, logit]}, "
                f"the interpreter {tensors['logits'][sample, logit]}"
            )
        correct += int((tensors["logits"].argmax(1) == part.labels).sum())
        tokens += int(tensors["k"].sum())
        for name in rates:
            rates[name] += float(tensors[name].mean()) * len(part) / len(dataset)
    return {"accuracy": correct / len(dataset), "mean_k": tokens / len(dataset), "firing_rates": rates}


def _co_simulate(
    graph: "Graph", network: "SpikingNetwork", dataset: "Dataset", k: int | None, core: str, scratch: Path
) -> dict[str, Any]:
    """Some samples on the core: vectors of PyTorch, interpreter and hardware must agree in every layer."""
    from sparta_hw.config import load_config
    from sparta_hw.passes import compile_graph
    from sparta_hw.vectors import load_vectors
    from sparta_quant.export import export_vectors
    from sparta_sim.cosim import ProgramSimulation
    from sparta_sim.measure import measure_cosim

    program = compile_graph(graph, load_config(core))
    export_vectors(network, dataset.spikes, dataset.labels, scratch / "vectors.npz", k)
    with ProgramSimulation(program) as simulation:
        section = measure_cosim(simulation, graph, [load_vectors(scratch / "vectors.npz")])
    level = section["runs"][0]
    print(
        f"  rtl        {level['accuracy']:7.2%}   on {level['samples']} samples: {level['elements_compared']} values, "
        f"every layer bit-exact, {level['cycles']['measured_mean']:.0f} cycles a sample, as predicted"
    )
    return section
