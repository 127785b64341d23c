"""Train the digits network: first in floats, then quantisation-aware on the hardware's grids. Resumes by itself."""

import argparse

from sparta_hw.commands.options import add_output, make_output, one_thread, positive

NAME = "train"
HELP = "quantisation-aware training of the digits network"
EXAMPLE = "example: sparta-hw train -o build/train"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--epochs", type=positive, help="passes over the data in floats (default: the release's)"
    )
    parser.add_argument(
        "--finetune-epochs", type=positive, help="passes on the grids (default: the release's)"
    )
    parser.add_argument("--seed", type=int, help="random seed (default: the release's)")
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Write network.pt (and training.pt, from which an interrupted training goes on)."""
    from sparta_quant.config import DIGITS
    from sparta_quant.train import NETWORK_FILE, TrainSettings, train

    one_thread()
    names = ("epochs", "finetune_epochs", "seed")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    folder = make_output(options.output)
    _, measured = train(DIGITS, folder, TrainSettings(**given))
    print(f"test accuracy: float {measured.float_accuracy:.2%}, quantised {measured.accuracy:.2%}")
    for k, accuracy in sorted(measured.accuracy_of_k.items(), reverse=True):
        print(f"  K = {k}: {accuracy:.2%}")
    print(folder / NETWORK_FILE)
