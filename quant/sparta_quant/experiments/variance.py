"""Spatial variance of spike timing over output tokens (paper Table 1 and figure 4)."""

import torch

from sparta_quant.data import Dataset
from sparta_quant.network import SpartaNetwork

__all__ = ["token_variance"]


@torch.no_grad()
def token_variance(network: SpartaNetwork, dataset: Dataset, batch: int = 100) -> tuple[float, float]:
    """Variance over a sample's tokens of first-spike times and of inter-spike intervals, mean over the samples.

    The tokens' cues are those of the last scale on the full grid (``first.1`` and ``interval.1`` with branches, else
    of the last stem layer), in time steps; the paper does not say which tokens or units it means.
    """
    network.eval()
    scale = 1 if network.config.branches else 0
    timing, interval = 0.0, 0.0
    for start in range(0, len(dataset), batch):
        part = torch.arange(start, min(start + batch, len(dataset)))
        layers = network.layers(dataset.unpacked(dataset.tensor(part)))
        timing += float(layers[f"first.{scale}"].var(1, correction=0).sum())
        interval += float(layers[f"interval.{scale}"].var(1, correction=0).sum())
    return timing / len(dataset), interval / len(dataset)
