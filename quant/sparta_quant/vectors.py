"""Test vectors: inputs and every layer's integers of a deployed network, as an ``.npz`` file."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sparta_hw.files import write_atomic
from sparta_hw.vectors import of_ranks
from sparta_quant.inputs import network_inputs
from sparta_quant.spiking_network import SpikingNetwork

__all__ = ["export_vectors"]

_BATCH = 32
_NOT_COMPARED = {"selected", "gain"}
"""Tensors that the hardware does not hold as such."""


def export_vectors(
    network: SpikingNetwork,
    inputs: NDArray[np.uint8],
    labels: NDArray[np.int64],
    path: str | Path,
    k: int | None = None,
) -> None:
    """Write inputs and every layer's integers as a compressed ``.npz`` of arrays with the sample first.

    Arrays are ``input`` uint8 as given, ``labels`` (n,), ``request`` () the requested K (0: each sample's own), ``k``
    (n,) the K of each sample, and one for each tensor of docs/dialect.md but ``selected`` and ``gain``: spikes uint8
    (n, T, C, H, W), the others int32, each value times ``2**frac``. Tensors over ranks have as many as the largest K;
    those from a sample's own K on mean nothing. With a feedback controller the samples are one stream: each starts
    from the state that the one before left, the first from 0.

    Parameters
    ----------
    network : SpikingNetwork
        Is computed in float64, deployed.
    inputs : uint8 array (n, T, C, H, W) or (n, C, H, W)
        Spikes, 0 or 1; pixels with direct coding.
    labels : int array (n,)
        Classes.
    path : path
        Destination.
    k : int or None
        Tokens that attend; the network's default if None.
    """
    parts = list(_batches(network.deploy().double(), inputs, k))
    request = network.config.default_k if k is None else k
    arrays: dict[str, NDArray] = {"input": inputs, "labels": labels, "request": np.array(request)}
    for name in parts[0] if parts else ():
        arrays[name] = _joined(name, [part[name] for part in parts])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomic(path, buffer.getvalue())


def _batches(
    network: SpikingNetwork, inputs: NDArray[np.uint8], k: int | None
) -> Iterator[dict[str, NDArray]]:
    """Integers of some samples at a time, one at a time where the next one needs the state."""
    feedback = network.config.feedback is not None
    each = 1 if feedback else _BATCH
    state = torch.zeros(1, dtype=torch.int64) if feedback else None
    for start in range(0, len(inputs), each):
        batch = network_inputs(network.config, inputs[start : start + each]).double()
        layers = network.layer_integers(batch, k, state)
        state = layers["next_state"] if feedback else None
        spikes = network.spike_names
        yield {"k": network.k_of(layers, k).numpy()} | {
            name: values.transpose(0, 1).numpy().astype(np.uint8)
            if name in spikes
            else values.numpy().astype(np.int32)
            for name, values in layers.items()
            if name not in _NOT_COMPARED
        }


def _joined(name: str, parts: list[NDArray]) -> NDArray:
    """All samples; ranks that a batch does not have are zero."""
    if not of_ranks(name):
        return np.concatenate(parts)
    ranks = max(part.shape[1] for part in parts)
    padding = [(0, 0)] * (parts[0].ndim - 2)
    return np.concatenate([np.pad(part, ((0, 0), (0, ranks - part.shape[1]), *padding)) for part in parts])
