"""Labelled samples in memory: spike trains packed one word a pixel, or pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Dataset", "Split", "pack_frames", "rate_coded"]

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled event recordings or images.

    Parameters
    ----------
    name : str
        For reports and errors.
    inputs : uint32 array (n, 2, H, W), or uint8 array (n, C, H, W)
        Spike trains: bit t is set where a pixel had an event in step t; channel 0 is off (darker), 1 is on
        (brighter). Or pixels, 0 to 255.
    labels : int64 array (n,)
        Classes.
    classes : tuple of str
        Their names.
    steps : int
        T, 1 to 32; 0 for pixels.
    """

    name: str
    inputs: NDArray[np.uint32] | NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    steps: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def coding(self) -> Literal["spikes", "direct"]:
        """The coding of a network that takes these samples."""
        return "spikes" if self.steps else "direct"

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of a sample."""
        return self.inputs.shape[1:]

    @property
    def spikes(self) -> NDArray[np.uint8]:
        """All samples as frames (n, T, 2, H, W), 0 or 1, or pixels (n, C, H, W)."""
        if not self.steps:
            return self.inputs.astype(np.uint8)
        bits = np.arange(self.steps, dtype=np.uint32).reshape(-1, 1, 1, 1)
        return (self.inputs[:, None] >> bits & 1).astype(np.uint8)

    def subset(self, indices: Sequence[int] | NDArray[np.integer] | slice) -> "Dataset":
        """The chosen samples."""
        return replace(self, inputs=self.inputs[indices], labels=self.labels[indices])

    def head(self, count: int) -> "Dataset":
        """The first ``count`` samples."""
        return self.subset(slice(count))

    def spread(self, count: int) -> "Dataset":
        """``count`` samples at equal distances, so that all classes are among them; all samples if there are fewer."""
        count = min(count, len(self))
        return self.subset(np.arange(count) * len(self) // max(count, 1))

    def rate_coded(self, steps: int, seed: int = 0) -> "Dataset":
        """These pixels as spikes of :func:`rate_coded`."""
        words = pack_frames(rate_coded(self.inputs, steps, seed))
        return replace(self, inputs=words, steps=steps)

    def tensor(self, indices: Tensor) -> Tensor:
        """The chosen samples as stored: int32 words or uint8 pixels (batch, C, H, W)."""
        chosen = self.inputs[indices.numpy()]
        return torch.from_numpy(chosen.view(np.int32) if self.steps else chosen)

    def unpacked(self, inputs: Tensor) -> Tensor:
        """Inputs of a network from those of :meth:`tensor`: spikes (T, batch, C, H, W) or pixels (batch, C, H, W)."""
        if not self.steps:
            return inputs.float()
        bits = torch.arange(self.steps, dtype=torch.int32, device=inputs.device).view(-1, 1, 1, 1, 1)
        return (inputs >> bits & 1).float()


def rate_coded(
    pixels: NDArray[np.uint8] | NDArray[np.uint32], steps: int, seed: int = 0
) -> NDArray[np.uint8]:
    """Spikes (n, T, C, H, W) of pixels (n, C, H, W): in each step a pixel p spikes with probability p / 255.

    A seed always draws the same ones.
    """
    rng = np.random.default_rng(seed)
    frames = [rng.integers(0, 255, pixels.shape, np.uint8) < pixels for _ in range(steps)]
    return np.stack(frames, axis=1).astype(np.uint8)


def pack_frames(frames: NDArray[np.integer]) -> NDArray[np.uint32]:
    """Words (n, C, H, W) of frames (n, T, C, H, W), 0 or 1."""
    words = np.zeros((len(frames), *frames.shape[2:]), np.uint32)
    for step in range(frames.shape[1]):
        words |= frames[:, step].astype(np.uint32) << np.uint32(step)
    return words
