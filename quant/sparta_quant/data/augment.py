"""Augmentation of a batch: deterministic, drawn from one generator."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Augmentation"]

_DROP_BITS = 3
"""Words are thinned by factors of 2^-3 and their sums."""


@dataclass(frozen=True)
class Augmentation:
    """What happens to the samples of a batch, to each on its own.

    Works on packed spike trains and on pixels alike, before they become spikes; general libraries of transforms
    know neither words nor a generator of one's own. A pixel of the result is one pixel of the sample, the nearest to
    where it comes from, or zero from outside.

    Parameters
    ----------
    shift : int
        Samples move by up to so many pixels along both axes.
    rotation : float
        Samples turn about their middle by up to so many degrees.
    zoom : float
        Samples shrink or grow, each axis on its own, by up to this part of their size.
    flip : bool
        Half of the samples are mirrored left to right.
    drop : float
        Part of the events that is lost, 0 to 1, to the next eighth.
    """

    shift: int = 0
    rotation: float = 0.0
    zoom: float = 0.0
    flip: bool = False
    drop: float = 0.0

    def __call__(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Augmented copies of ``inputs`` (batch, C, H, W), int32 words or uint8 pixels."""
        if self.shift or self.rotation or self.zoom:
            inputs = self._moved(inputs, generator)
        if self.flip:
            mirrored = torch.randint(2, (len(inputs), 1, 1, 1), generator=generator) > 0
            inputs = torch.where(mirrored, inputs.flip(3), inputs)
        if self.drop and inputs.dtype == torch.int32:
            inputs = inputs & _kept(inputs, round(self.drop * (1 << _DROP_BITS)), generator)
        return inputs

    def _moved(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        batch, _, height, width = inputs.shape
        down, right = torch.randint(-self.shift, self.shift + 1, (2, batch, 1, 1), generator=generator)
        angle, tall, wide = torch.rand((3, batch, 1, 1), generator=generator) * 2 - 1
        angle = torch.deg2rad(angle * self.rotation)
        y = (torch.arange(height) - (height - 1) / 2).view(-1, 1)
        x = torch.arange(width) - (width - 1) / 2
        rows = (y * angle.cos() - x * angle.sin()) * (1 + tall * self.zoom) + (height - 1) / 2
        columns = (y * angle.sin() + x * angle.cos()) * (1 + wide * self.zoom) + (width - 1) / 2
        rows, columns = rows.round().long() + down, columns.round().long() + right
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        place = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).flatten(1)
        moved = inputs.flatten(2).gather(2, place.unsqueeze(1).expand(-1, inputs.shape[1], -1))
        return (moved * inside.flatten(1).unsqueeze(1)).view(inputs.shape)


def _kept(words: Tensor, lost_eighths: int, generator: torch.Generator) -> Tensor:
    """Random words whose bits are 0 with a probability of ``lost_eighths / 8``."""
    lost = torch.zeros_like(words)
    for bit in range(_DROP_BITS):
        random = torch.randint(-(2**31), 2**31 - 1, words.shape, generator=generator, dtype=torch.int32)
        # Bits of a binary fraction, the lowest first: halve what was lost, and add a half where the bit is set.
        lost = lost | random if lost_eighths >> bit & 1 else lost & random
    return ~lost
