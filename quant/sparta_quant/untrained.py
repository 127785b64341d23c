"""Networks as they are before training: for tests, benchmarks and first estimates of a new configuration."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sparta_quant.config import SpartaConfig
from sparta_quant.data import rate_coded
from sparta_quant.data.camera import image_events, upsample
from sparta_quant.inputs import network_inputs
from sparta_quant.networks import build_network
from sparta_quant.spiking_network import SpikingNetwork

__all__ = ["camera_digits", "untrained_model", "untrained_network"]


def camera_digits(config: SpartaConfig, samples: int) -> NDArray[np.uint8]:
    """The first embedded digits at the size, steps and coding of a network: inputs where its data set is not at hand.

    Events come from a circle in front of the simulated camera.

    Returns
    -------
    uint8 array (samples, T, 2, H, W) or (samples, C, H, W)
        Spikes, or pixels with direct coding.
    """
    from sklearn.datasets import load_digits

    channels, height, width = config.input
    images = upsample(load_digits().images[:samples], height // 8)
    images = np.pad(images, ((0, 0), (0, height - images.shape[1]), (0, width - images.shape[2])))
    if config.coding != "spikes":
        pixels = np.repeat(np.rint(images[:, None] * 15.9).astype(np.uint8), channels, axis=1)
        return pixels if config.coding == "direct" else rate_coded(pixels, config.timesteps)
    angles = 2 * np.pi * np.arange(config.timesteps + 1) / config.timesteps
    path = tuple(
        (float(down), float(right))
        for down, right in zip(2 - 2 * np.cos(angles), 2 + 2 * np.sin(angles), strict=True)
    )
    return image_events(images, 2.0, path)


def untrained_network(config: SpartaConfig, samples: NDArray[np.uint8], seed: int = 0) -> SpikingNetwork:
    """A deployed network with initial weights: :func:`untrained_model`, deployed."""
    return untrained_model(config, samples, seed).deploy()


@torch.no_grad()
def untrained_model(config: SpartaConfig, samples: NDArray[np.uint8], seed: int = 0) -> SpikingNetwork:
    """A quantised network with initial weights, its normalisation and feedback controller settled on ``samples``.

    Parameters
    ----------
    config : SpartaConfig
        Shape and formats.
    samples : uint8 array (batch, T, C, H, W) or (batch, C, H, W)
        Spikes, or pixels with direct coding; two samples or more show how their statistics vary.
    seed : int
        Of the weights.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_network(config)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = 1.0
    inputs = network_inputs(config, samples)
    network(inputs)
    network.quantize()
    network.eval()
    network.calibrate_(inputs)
    return network
