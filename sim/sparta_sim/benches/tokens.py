"""Random tokens."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["random_tokens"]

IntArray = NDArray[np.int64]


def random_tokens(rng: np.random.Generator, steps: int, channels: int, tokens: int) -> IntArray:
    """Spikes (T, C, N), silent to dense from channel to channel."""
    return (rng.random((steps, channels, tokens)) < rng.random((1, channels, tokens))).astype(np.int64)
