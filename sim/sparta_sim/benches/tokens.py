"""Random tokens, and their cue sums as the interpreter's cues say."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.interpreter.cues import spike_cues

__all__ = ["cue_sums", "random_tokens"]

IntArray = NDArray[np.int64]


def random_tokens(rng: np.random.Generator, steps: int, channels: int, tokens: int) -> IntArray:
    """Spikes (T, C, N), silent to dense from channel to channel."""
    return (rng.random((steps, channels, tokens)) < rng.random((1, channels, tokens))).astype(np.int64)


def cue_sums(spikes: IntArray) -> dict[str, IntArray]:
    """F, A, G, U, R (N,) of spikes (T, C, N), by the names of ``cue_sums_layout``.

    Each channel word is given to the interpreter as a token of one channel, whose mean is its sum.
    """
    steps, channels, tokens = spikes.shape

    def cues(words: IntArray) -> list[IntArray]:
        exact = spike_cues(words.reshape(1, steps, 1, channels, tokens))
        return [cue.reshape(channels, tokens) >> 3 for cue in exact]

    first, _, burst, rate = cues(spikes)
    after_last = cues(spikes[::-1])[0]
    span = np.where(rate > 0, steps - 1 - after_last - first, 0)
    words = {"first": first, "span": span, "gaps": np.maximum(rate - 1, 0), "burst": burst, "rate": rate}
    return {name: values.sum(axis=0) for name, values in words.items()}
