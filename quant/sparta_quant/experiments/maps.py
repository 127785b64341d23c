"""What a network looks at (paper figure 3): input, firing rate, attention, top-K mask, spikes over time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparta_quant.attention import SparseAttention
from sparta_quant.data import Dataset
from sparta_quant.network import SpartaNetwork

__all__ = ["Maps", "maps_of"]


@dataclass(frozen=True, eq=False)
class Maps:
    """One sample as a network sees it.

    Parameters
    ----------
    input : array (H, W)
        Events of both polarities in all steps, or the mean of the channels.
    rate : array (rows, columns)
        Spikes of each grid token, mean over its channels and steps.
    attention : array (rows, columns)
        Weight that each token gets, summed over its copies, mean over queries and heads of the first layer.
    selected : array (rows, columns)
        1 where a token is among the top K.
    variance : array (rows, columns)
        Variance over the steps of the spikes of each grid token.
    spikes : array (T,)
        Spikes of all tokens in each step.
    """

    input: NDArray[np.float64]
    rate: NDArray[np.float64]
    attention: NDArray[np.float64]
    selected: NDArray[np.float64]
    variance: NDArray[np.float64]
    spikes: NDArray[np.float64]


@torch.no_grad()
def maps_of(network: SpartaNetwork, dataset: Dataset, sample: int) -> Maps:
    """Maps of one sample, on the spikes of the last layer of the full grid."""
    network.eval()
    config = network.config
    inputs = dataset.unpacked(dataset.tensor(torch.tensor([sample])))
    with _attention_inputs(network) as calls:
        layers = network.layers(inputs)
    module, (query, key, _, mask, keep, *rest) = calls[0]
    weight = module.weights(query, key, mask, keep, *rest)[0].mean(0)
    weight = (weight * keep[0].unsqueeze(1)).sum(0) / keep[0].sum()
    chosen = layers["index" if config.priority else "winners"][0][: len(weight)]
    if config.groups is not None:
        chosen = layers["group"][0][chosen.long()]
    grid_tokens, grid = config.grid_tokens, config.grid
    attention = torch.zeros(grid_tokens).index_add(0, chosen.long(), weight)
    selected = torch.zeros(grid_tokens).index_add(0, chosen.long(), keep[0]).clamp(max=1)
    spikes = layers["local" if config.branches else f"stem.{len(config.stem) - 1}"][:, 0]
    count = spikes.sum(1)
    frames = inputs.sum((0, 1, 2)) if dataset.steps else inputs.mean((0, 1))
    return Maps(
        input=_array(frames),
        rate=_array(spikes.mean((0, 1))),
        attention=_array(attention.view(grid)),
        selected=_array(selected.view(grid)),
        variance=_array(count.var(0, correction=0)),
        spikes=_array(count.sum((1, 2))),
    )


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.double().numpy()


@contextmanager
def _attention_inputs(network: SpartaNetwork) -> Iterator[list[tuple[SparseAttention, tuple[Any, ...]]]]:
    """Collects the arguments of every attention layer while the network runs."""
    calls: list[tuple[SparseAttention, tuple[Any, ...]]] = []

    def collect(module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        assert isinstance(module, SparseAttention)
        calls.append((module, arguments))

    modules = [module for module in network.modules() if isinstance(module, SparseAttention)]
    handles = [module.register_forward_pre_hook(collect) for module in modules]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
