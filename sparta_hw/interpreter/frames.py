"""Spikes and pixels in the order the interpreter computes in: steps, samples, rows, columns, channels."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["by_step", "windows"]


def by_step(values: NDArray[np.integer], pad: int = 0) -> NDArray[np.uint8]:
    """Spikes or pixels (n, T, C, H, W) as contiguous (T, n, H + 2 pad, W + 2 pad, C), zeros around.

    Not copied if they are so in memory.
    """
    ordered = values.transpose(1, 0, 3, 4, 2)
    steps, samples, height, width, channels = ordered.shape
    if not pad and ordered.dtype == np.uint8 and ordered.flags.c_contiguous:
        return ordered.view(np.uint8)
    result = np.zeros((steps, samples, height + 2 * pad, width + 2 * pad, channels), np.uint8)
    inner = result[:, :, pad : pad + height, pad : pad + width]
    if ordered.strides[-1] == ordered.itemsize:
        inner[...] = ordered
    else:
        for channel in range(channels):
            inner[..., channel] = ordered[..., channel]
    return result


def windows(frames: NDArray[np.uint8], kernel: tuple[int, int], stride: int) -> NDArray[np.uint8]:
    """Windows (m, H', W', kh kw C) of contiguous frames (m, H, W, C), rows of a window first.

    A row of a window, kw C bytes, is contiguous, and copied as one element.
    """
    count, height, width, channels = frames.shape
    frame, row, pixel, _ = frames.strides
    high, wide = ((size - extent) // stride + 1 for size, extent in zip((height, width), kernel, strict=True))
    element, strides = f"V{kernel[1] * channels}", (frame, stride * row, stride * pixel)
    result = np.empty((count, high, wide, kernel[0]), element)
    for n in range(kernel[0]):
        result[..., n] = np.ndarray((count, high, wide), element, frames, n * row, strides)
    return result.view(np.uint8)
