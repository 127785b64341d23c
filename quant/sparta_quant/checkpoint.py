"""Trained networks on disk: integers, the parameters in floats before them, configuration, measured accuracy."""

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from sparta_hw.errors import InputFileError
from sparta_hw.files import read_bytes, write_atomic
from sparta_quant.integers import NetworkIntegers
from sparta_quant.networks import build_network, network_from_integers
from sparta_quant.spiking_network import SpikingNetwork

__all__ = [
    "DIGITS_CHECKPOINT",
    "MLP_CHECKPOINT",
    "Measured",
    "has_float_network",
    "load_checkpoint",
    "load_float_network",
    "read_tensors",
    "save_checkpoint",
    "write_tensors",
]

DIGITS_CHECKPOINT = Path(__file__).parent / "checkpoints" / "digits.pt"
"""The digits network as :func:`~sparta_quant.train.train` leaves it with its default settings."""

MLP_CHECKPOINT = DIGITS_CHECKPOINT.with_name("mlp.pt")
"""The plain network 784-128-10, trained on MNIST: what the peers' benchmark needs of MNIST (docs/plain-networks.md)."""

_FORMAT = "sparta network 3"


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
    mean_k : float
        Tokens that attended at the default K.
    firing_rates : dict of str to float
        Mean spikes per neuron and step of each spiking layer.
    """

    float_accuracy: float
    accuracy: float
    accuracy_of_k: dict[int, float]
    mean_k: float
    firing_rates: dict[str, float]

    def metadata(self) -> dict[str, str]:
        """For the ``metadata_props`` of an exported model."""
        return {"accuracy": f"{self.accuracy:.4f}", "float_accuracy": f"{self.float_accuracy:.4f}"}


def save_checkpoint(
    network: SpikingNetwork,
    measured: Measured,
    path: str | Path,
    float_parameters: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the network's integers and measurements; a reader never sees half a file.

    ``float_parameters`` is the ``state_dict`` of the network before the quantisers were switched on.
    """
    content = {
        "format": _FORMAT,
        "network": network.integers().to_dict(),
        "measured": asdict(measured),
        "float_parameters": dict(float_parameters or {}),
    }
    write_tensors(path, content)


def load_checkpoint(path: str | Path) -> tuple[SpikingNetwork, Measured]:
    """The deployed network of :func:`save_checkpoint` and its measurements.

    Raises
    ------
    InputFileError
        The file is missing, damaged, or something else.
    """
    content = _read_checkpoint(path)
    network = network_from_integers(NetworkIntegers.from_dict(content["network"]))
    return network, Measured(**content["measured"])


def has_float_network(path: str | Path) -> bool:
    """Whether :func:`load_float_network` finds one in the file of :func:`save_checkpoint`."""
    return bool(_read_checkpoint(path)["float_parameters"])


def load_float_network(path: str | Path) -> SpikingNetwork:
    """The network of :func:`save_checkpoint` as it was in floats, before the quantisers were switched on.

    Raises
    ------
    InputFileError
        The file is missing, damaged, something else, or has no parameters in floats.
    """
    content = _read_checkpoint(path)
    if not content["float_parameters"]:
        raise InputFileError(f"{path}: has no parameters in floats, only integers; train the network again")
    network = build_network(NetworkIntegers.from_dict(content["network"]).config)
    network.load_state_dict(content["float_parameters"])
    return network.eval()


def _read_checkpoint(path: str | Path) -> dict[str, Any]:
    content = read_tensors(path, "a network checkpoint")
    if content.get("format") != _FORMAT:
        raise InputFileError(f"{path}: not a network checkpoint of this release (expected {_FORMAT!r})")
    return content


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
