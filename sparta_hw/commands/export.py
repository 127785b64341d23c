"""Export a network: model.onnx, and test vectors (inputs and every layer's integers) at several K."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sparta_hw.commands.options import add_output, make_output, positive, tune_torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sparta_quant.spiking_network import SpikingNetwork

NAME = "export"
HELP = "network to ONNX and test vectors"
EXAMPLE = "example: sparta-hw export build/train/network.pt --samples 20 -o build/x"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "network",
        help="network.pt of sparta-hw train; or a name or JSON file: that network with initial weights,"
        " to know its hardware before training it",
    )
    parser.add_argument(
        "--samples", type=positive, default=20, help="test samples in the vectors (default: 20)"
    )
    parser.add_argument(
        "--data",
        help="data set of the test samples (default: the embedded digits, at the size of an untrained network)",
    )
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Write model.onnx and vectors/k<K>.npz, and training.json; check the file in ONNX Runtime, bit for bit."""
    tune_torch()
    trained = options.network.endswith(".pt")
    (_export_trained if trained else _export_untrained)(options)


def _export_trained(options: argparse.Namespace) -> None:
    import json
    from dataclasses import asdict

    from sparta_hw.files import write_text
    from sparta_quant.checkpoint import load_checkpoint
    from sparta_quant.data.fit import open_fitting
    from sparta_quant.evaluate import evaluate

    network, measured = load_checkpoint(options.network)
    test = open_fitting(options.data or "digits", "test", network.config)
    reproduced = evaluate(network, test).accuracy
    print(
        f"test accuracy, {len(test)} samples: float {measured.float_accuracy:.2%}, quantised"
        f" {reproduced:.2%} (recorded at training: {measured.accuracy:.2%})"
    )
    chosen = test.head(options.samples)
    folder = make_output(options.output)
    _write(network, measured.metadata(), chosen.spikes, chosen.labels, folder)
    record = asdict(measured) | {"reproduced_accuracy": reproduced, "test_samples": len(test)}
    write_text(folder / "training.json", json.dumps(record, indent=2) + "\n")


def _export_untrained(options: argparse.Namespace) -> None:
    import numpy as np

    from sparta_quant.data.fit import open_fitting
    from sparta_quant.named import named_network
    from sparta_quant.untrained import camera_digits, untrained_network

    config = named_network(options.network)
    if options.data:
        chosen = open_fitting(options.data, "test", config).head(options.samples)
        inputs, labels = chosen.spikes, chosen.labels
    else:
        inputs, labels = camera_digits(config, options.samples), np.zeros(options.samples, np.int64)
    network = untrained_network(config, inputs)
    print(f"{config.name} with initial weights: good for its hardware, not for its answers")
    _write(network, {}, inputs, labels, make_output(options.output))


def _write(
    network: "SpikingNetwork",
    metadata: dict[str, str],
    inputs: "NDArray[np.uint8]",
    labels: "NDArray[np.int64]",
    folder: Path,
) -> None:
    """model.onnx and the vectors, which ONNX Runtime must reproduce."""
    import onnx

    from sparta_hw.vectors import load_vectors
    from sparta_hw.witness import check_against_runtime
    from sparta_quant.export import export_onnx, export_vectors

    model = folder / "model.onnx"
    export_onnx(network, model, metadata)
    onnx.checker.check_model(onnx.load(model), full_check=True)
    make_output(folder / "vectors")
    compared = 0
    for k in sorted({*network.config.k_levels, network.config.default_k}, reverse=True):
        path = folder / "vectors" / f"k{k}.npz"
        export_vectors(network, inputs, labels, path, k)
        vectors = load_vectors(path)
        fracs = {name: network.frac(name) for name in vectors.tensors}
        compared += check_against_runtime(model, fracs, vectors)
    print(f"ONNX Runtime agrees with PyTorch bit for bit on {compared} values: {model}")
