"""Arguments that several commands share."""

import argparse
from pathlib import Path

from sparta_hw.errors import InputFileError

__all__ = ["add_output", "make_output", "positive"]


def positive(text: str) -> int:
    """A whole number, at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def add_output(parser: argparse.ArgumentParser) -> None:
    """The ``-o DIR`` of every command."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the results")


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
