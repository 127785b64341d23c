"""Accuracy and firing rates of a network over a data set."""

from dataclasses import dataclass

import torch

from sparta_quant.events import EventDataset
from sparta_quant.network import SpartaNetwork

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """``accuracy`` in 0 to 1; ``firing_rates``, mean spikes per neuron and step of each stem layer."""

    accuracy: float
    firing_rates: tuple[float, ...]


@torch.no_grad()
def evaluate(
    network: SpartaNetwork, dataset: EventDataset, k: int | None = None, batch: int = 128
) -> Evaluation:
    """Classify every recording; ``k`` tokens attend (the network's default if None)."""
    network.eval()
    correct, spikes_of = 0, torch.zeros(len(network.stem))
    for start in range(0, len(dataset), batch):
        spikes = torch.from_numpy(dataset.spikes[start : start + batch]).transpose(0, 1).float()
        labels = torch.from_numpy(dataset.labels[start : start + batch])
        layers = network.layers(spikes, k)
        correct += int((layers["logits"].argmax(1) == labels).sum())
        spikes_of += torch.tensor([float(layers[f"stem.{n}"].mean()) for n in range(len(spikes_of))]) * len(
            labels
        )
    return Evaluation(correct / len(dataset), tuple((spikes_of / len(dataset)).tolist()))
