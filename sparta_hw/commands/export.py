"""Export a trained network: model.onnx, and test vectors (inputs and every layer's integers) at several K."""

import argparse
from pathlib import Path

from sparta_hw.commands.options import add_output, make_output, one_thread, positive

NAME = "export"
HELP = "trained network to ONNX and test vectors"
EXAMPLE = "example: sparta-hw export build/train/network.pt --samples 20 -o build/x"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", type=Path, help="network.pt of sparta-hw train")
    parser.add_argument(
        "--samples", type=positive, default=20, help="test samples in the vectors (default: 20)"
    )
    parser.add_argument(
        "--data", default="digits", help="data set of the test samples (default: the embedded digits)"
    )
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Write model.onnx, training.json and vectors/k<K>.npz; check the file in ONNX Runtime, bit for bit."""
    import json
    from dataclasses import asdict

    import onnx

    from sparta_hw.files import write_text
    from sparta_hw.vectors import load_vectors
    from sparta_hw.witness import check_against_runtime
    from sparta_quant.checkpoint import load_checkpoint
    from sparta_quant.data import open_dataset
    from sparta_quant.data.fit import check_fit
    from sparta_quant.evaluate import evaluate
    from sparta_quant.export import export_onnx, export_vectors

    one_thread()
    network, measured = load_checkpoint(options.network)
    folder = make_output(options.output)
    model = folder / "model.onnx"
    export_onnx(network, model, measured.metadata())
    onnx.checker.check_model(onnx.load(model), full_check=True)

    config = network.config
    test = open_dataset(options.data, "test", steps=config.timesteps, size=config.input[1:])
    check_fit(config, test)
    reproduced = evaluate(network, test).accuracy
    print(
        f"test accuracy, {len(test)} samples: float {measured.float_accuracy:.2%}, quantised"
        f" {reproduced:.2%} (recorded at training: {measured.accuracy:.2%})"
    )
    chosen = test.head(options.samples)
    make_output(folder / "vectors")
    compared = 0
    for k in sorted({*network.config.k_levels, network.config.default_k}, reverse=True):
        path = folder / "vectors" / f"k{k}.npz"
        export_vectors(network, chosen.spikes, chosen.labels, path, k)
        vectors = load_vectors(path)
        fracs = {name: network.frac(name) for name in vectors.tensors}
        compared += check_against_runtime(model, fracs, vectors)
    record = asdict(measured) | {"reproduced_accuracy": reproduced, "test_samples": len(test)}
    write_text(folder / "training.json", json.dumps(record, indent=2) + "\n")
    print(f"ONNX Runtime agrees with PyTorch bit for bit on {compared} values: {model}")
