"""Arguments that several commands share."""

import argparse
import os
from pathlib import Path

from sparta_hw.errors import InputFileError

__all__ = ["add_memory", "add_output", "add_samples", "make_output", "positive", "tune_torch"]


def positive(text: str) -> int:
    """A whole number, at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def add_output(parser: argparse.ArgumentParser) -> None:
    """The ``-o DIR`` of every command."""
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the results"
    )


def add_samples(parser: argparse.ArgumentParser) -> None:
    """Test vectors, or random spikes."""
    parser.add_argument(
        "--vectors", type=Path, nargs="+", default=[], help="test vectors of sparta-hw export"
    )
    parser.add_argument("--random", type=positive, metavar="N", help="N random samples instead of vectors")
    parser.add_argument(
        "--density", type=float, default=0.2, help="spike rate of random samples (default: 0.2)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument(
        "-k",
        type=int,
        action="append",
        help="tokens that attend, with --random, or 0 for each sample's own; repeatable",
    )


def add_memory(parser: argparse.ArgumentParser) -> None:
    """How an external memory of weights answers."""
    parser.add_argument(
        "--memory-latency",
        type=positive,
        default=30,
        metavar="CYCLES",
        help="of the external memory, for cores that stream weights (default: 30)",
    )


def make_output(folder: Path) -> Path:
    """Create the output folder.

    Raises
    ------
    InputFileError
        It cannot be a folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputFileError(f"{folder}: cannot be made the output folder: {error.strerror}") from error
    return folder


def tune_torch() -> None:
    """Settings of PyTorch for a few cores; call it before anything imports PyTorch.

    One thread: on a busy machine two were measured up to 20 times slower. Large tensors in huge pages: the kernel
    then clears them 2 MiB at a time, which makes a training step 1.2 to 1.5 times faster.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    import torch

    torch.set_num_threads(1)
