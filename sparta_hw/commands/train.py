"""Train a network: first in floats, then quantisation-aware on the hardware's grids. Resumes by itself."""

import argparse

from sparta_hw.commands.options import add_output, make_output, positive, tune_torch

NAME = "train"
HELP = "quantisation-aware training of a network"
EXAMPLE = "example: sparta-hw train nmnist --data N-MNIST -o build/nmnist"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", nargs="?", default="digits", help="name, or a JSON file (default: digits)")
    parser.add_argument(
        "--data", default="digits", help="data set, a file or folder (default: the embedded digits)"
    )
    parser.add_argument(
        "--epochs", type=positive, help="passes over the data in floats (default: the network's)"
    )
    parser.add_argument(
        "--finetune-epochs", type=positive, help="passes on the grids (default: the network's)"
    )
    parser.add_argument("--batch", type=positive, help="samples of one step (default: the network's)")
    parser.add_argument("--learning-rate", type=float, help="at the start (default: the network's)")
    parser.add_argument(
        "--finetune-rate", type=float, help="at the start, on the grids (default: the network's)"
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        help="of the convolutions while training in floats (default: the network's)",
    )
    parser.add_argument("--seed", type=int, help="of everything random (default: 0)")
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="only N training samples, spread over all"
    )
    parser.add_argument(
        "--accelerator", default="cpu", help="cpu, gpu or auto, by Lightning Fabric (default: cpu)"
    )
    parser.add_argument("--devices", type=positive, default=1, help="processes side by side (default: 1)")
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Write network.pt, network.json and history.json (and training.pt, from which an interrupted training goes on)."""
    if options.accelerator == "cpu":
        tune_torch()

    import json
    from dataclasses import replace

    from lightning_fabric import Fabric

    from sparta_hw.files import write_text
    from sparta_quant.data import check_has_splits
    from sparta_quant.data.fit import open_coded
    from sparta_quant.named import named_network
    from sparta_quant.training import NETWORK_FILE, default_settings, train

    check_has_splits(options.data)
    config = named_network(options.network)
    names = ("epochs", "finetune_epochs", "batch", "learning_rate", "finetune_rate", "precision", "seed")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    settings = replace(default_settings(config.name), **given)
    train_set, test_set = (open_coded(options.data, split, config) for split in ("train", "test"))
    if options.limit:
        train_set = train_set.spread(options.limit)
    config = replace(config, classes=len(train_set.classes))
    folder = make_output(options.output)
    write_text(folder / "network.json", json.dumps(config.to_dict(), indent=2) + "\n")
    fabric = Fabric(accelerator=options.accelerator, devices=options.devices)
    _, measured = train(config, folder, train_set, test_set, settings, fabric=fabric)
    if not fabric.is_global_zero:
        return
    print(
        f"test accuracy on {len(test_set)} samples: float {measured.float_accuracy:.2%}, "
        f"quantised {measured.accuracy:.2%}" + (f", mean K {measured.mean_k:.1f}" if config.tokens else "")
    )
    for k, accuracy in sorted(measured.accuracy_of_k.items(), reverse=True) if config.tokens else ():
        print(f"  K = {k or 'own'}: {accuracy:.2%}")
    print(folder / NETWORK_FILE)
