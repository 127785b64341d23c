"""Augmentation of a batch: deterministic, drawn from one generator."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Augmentation"]

_DROP_BITS = 3
"""Words are thinned by factors of 2^-3 and their sums."""


@dataclass(frozen=True)
class Augmentation:
    """What happens to the samples of a batch, to each on its own.

    Works on packed spike trains and on pixels alike, before they become spikes; general libraries of transforms
    know neither words nor a generator of one's own.

    Parameters
    ----------
    shift : int
        Samples move by up to so many pixels along both axes; what enters is zero.
    flip : bool
        Half of the samples are mirrored left to right.
    drop : float
        Part of the events that is lost, 0 to 1, to the next eighth.
    """

    shift: int = 0
    flip: bool = False
    drop: float = 0.0

    def __call__(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Augmented copies of ``inputs`` (batch, C, H, W), int32 words or uint8 pixels."""
        if self.shift:
            inputs = _shifted(inputs, self.shift, generator)
        if self.flip:
            mirrored = torch.randint(2, (len(inputs), 1, 1, 1), generator=generator) > 0
            inputs = torch.where(mirrored, inputs.flip(3), inputs)
        if self.drop and inputs.dtype == torch.int32:
            inputs = inputs & _kept(inputs, round(self.drop * (1 << _DROP_BITS)), generator)
        return inputs


def _shifted(inputs: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    batch, channels, height, width = inputs.shape
    padded = F.pad(inputs, (shift,) * 4)
    down, right = torch.randint(2 * shift + 1, (2, batch, 1), generator=generator)
    rows = (torch.arange(height) + down).view(batch, 1, height, 1)
    columns = (torch.arange(width) + right).view(batch, 1, 1, width)
    samples, planes = torch.arange(batch).view(-1, 1, 1, 1), torch.arange(channels).view(1, -1, 1, 1)
    return padded[samples, planes, rows, columns]


def _kept(words: Tensor, lost_eighths: int, generator: torch.Generator) -> Tensor:
    """Random words whose bits are 0 with a probability of ``lost_eighths / 8``."""
    lost = torch.zeros_like(words)
    for bit in range(_DROP_BITS):
        random = torch.randint(-(2**31), 2**31 - 1, words.shape, generator=generator, dtype=torch.int32)
        # Bits of a binary fraction, the lowest first: halve what was lost, and add a half where the bit is set.
        lost = lost | random if lost_eighths >> bit & 1 else lost & random
    return ~lost
