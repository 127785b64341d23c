"""Accuracy, K and firing rates of a network over a data set."""

from dataclasses import dataclass

import torch
from tqdm import tqdm

from sparta_quant.data import Dataset
from sparta_quant.spiking_network import SpikingNetwork

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """What a network did on a data set.

    Parameters
    ----------
    accuracy : float
        0 to 1.
    mean_k : float
        Tokens that attended, mean over the samples.
    firing_rates : dict of str to float
        Mean spikes per neuron and step of each spiking layer.
    """

    accuracy: float
    mean_k: float
    firing_rates: dict[str, float]


@torch.no_grad()
def evaluate(
    network: SpikingNetwork,
    dataset: Dataset,
    k: int | None = None,
    *,
    batch: int = 100,
    progress: bool = False,
) -> Evaluation:
    """Classify every sample; ``k`` tokens attend (the network's default if None).

    The feedback controller starts from its reset state at each sample, so that the order of samples does not matter.
    """
    network.eval()
    device = next(iter(network.state_dict().values())).device
    correct, tokens, rates = 0, 0, dict.fromkeys(network.spike_names, 0.0)
    starts = range(0, len(dataset), batch)
    for start in tqdm(starts, disable=not progress, unit="batch", desc=f"evaluating {network.config.name}"):
        part = torch.arange(start, min(start + batch, len(dataset)))
        layers = network.layers(dataset.unpacked(dataset.tensor(part).to(device)), k)
        labels = torch.from_numpy(dataset.labels[part.numpy()]).to(device)
        correct += int((layers["logits"].argmax(1) == labels).sum())
        tokens += int(network.k_of(layers, k).sum())
        for name, rate in network.firing_rates(layers).items():
            rates[name] += rate * len(part) / len(dataset)
    return Evaluation(correct / len(dataset), tokens / len(dataset), rates)
