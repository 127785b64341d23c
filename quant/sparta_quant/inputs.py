"""Samples as they are stored, to the tensor that a network takes."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparta_quant.config import SpartaConfig

__all__ = ["network_inputs"]


def network_inputs(config: SpartaConfig, samples: NDArray[np.uint8]) -> Tensor:
    """Inputs of a network, time first where there is time.

    Parameters
    ----------
    config : SpartaConfig
        Its coding says which of the two it is.
    samples : uint8 array (batch, T, C, H, W) or (batch, C, H, W)
        Spikes, 0 or 1; pixels with direct coding.

    Returns
    -------
    float Tensor (T, batch, C, H, W) or (batch, C, H, W)
    """
    values = torch.from_numpy(samples).float()
    return values if config.coding == "direct" else values.transpose(0, 1)
