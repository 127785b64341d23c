"""Networks as they are before training: for tests, benchmarks and first estimates of a new configuration."""

import torch
from torch import Tensor, nn

from sparta_quant.config import SpartaConfig
from sparta_quant.network import SpartaNetwork

__all__ = ["untrained_network"]


@torch.no_grad()
def untrained_network(config: SpartaConfig, inputs: Tensor, seed: int = 0) -> SpartaNetwork:
    """A deployed network with initial weights, its normalisation and feedback controller settled on ``inputs``.

    Parameters
    ----------
    config : SpartaConfig
        Shape and formats.
    inputs : Tensor (T, batch, C, H, W) or (batch, C, H, W)
        Spikes, or pixels with direct coding; two samples or more show how their statistics vary.
    seed : int
        Of the weights.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = SpartaNetwork(config)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = 1.0
    network(inputs)
    network.quantize()
    network.eval()
    if network.feedback is not None:
        network.calibrate_feedback(inputs)
    return network.deploy()
