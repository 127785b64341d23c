"""Deployed networks on disk: integers, configuration and measured accuracy."""

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from sparta_hw.errors import InputFileError
from sparta_hw.files import read_bytes, write_atomic
from sparta_quant.integers import NetworkIntegers
from sparta_quant.network import SpartaNetwork

__all__ = [
    "DIGITS_CHECKPOINT",
    "Measured",
    "load_checkpoint",
    "read_tensors",
    "save_checkpoint",
    "write_tensors",
]

DIGITS_CHECKPOINT = Path(__file__).parent / "checkpoints" / "digits.pt"
"""The digits network as :func:`~sparta_quant.train.train` leaves it with its default settings."""

_FORMAT = "sparta network 2"


@dataclass(frozen=True)
class Measured:
    """What training measured on the test set.

    Parameters
    ----------
    float_accuracy : float
        Before the quantisers were switched on, default K.
    accuracy : float
        Of the deployed integers, default K.
    accuracy_of_k : dict of int to float
        Of the deployed integers, for each K of the sparsity levels.
    firing_rates : tuple of float
        Mean spikes per neuron and step of each stem layer.
    """

    float_accuracy: float
    accuracy: float
    accuracy_of_k: dict[int, float]
    firing_rates: tuple[float, ...]

    def metadata(self) -> dict[str, str]:
        """For the ``metadata_props`` of an exported model."""
        return {"accuracy": f"{self.accuracy:.4f}", "float_accuracy": f"{self.float_accuracy:.4f}"}


def save_checkpoint(network: SpartaNetwork, measured: Measured, path: str | Path) -> None:
    """Write the network's integers and measurements; a reader never sees half a file."""
    write_tensors(
        path, {"format": _FORMAT, "network": network.integers().to_dict(), "measured": asdict(measured)}
    )


def load_checkpoint(path: str | Path) -> tuple[SpartaNetwork, Measured]:
    """The deployed network of :func:`save_checkpoint` and its measurements.

    Raises
    ------
    InputFileError
        The file is missing, damaged, or something else.
    """
    content = read_tensors(path, "a network checkpoint")
    if content.get("format") != _FORMAT:
        raise InputFileError(f"{path}: not a network checkpoint of this release (expected {_FORMAT!r})")
    network = SpartaNetwork.from_integers(NetworkIntegers.from_dict(content["network"]))
    return network, Measured(**content["measured"])


def write_tensors(path: str | Path, content: Mapping[str, Any]) -> None:
    """``torch.save``, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    write_atomic(path, buffer.getvalue())


def read_tensors(path: str | Path, what: str) -> dict[str, Any]:
    """``torch.load`` of a file of :func:`write_tensors`, without executing anything in it.

    Raises
    ------
    InputFileError
        The file is missing, damaged, or something else.
    """
    try:
        content = torch.load(io.BytesIO(read_bytes(path, what)), weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError, ValueError) as error:
        raise InputFileError(f"{path}: not {what}, or damaged") from error
    if not isinstance(content, dict):
        raise InputFileError(f"{path}: not {what}")
    return content
