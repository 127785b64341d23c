"""Images that move in front of a simulated event camera."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["SACCADE", "image_events", "upsample"]

SACCADE = (
    (0.0, 0.0),
    (0.5, 0.25),
    (1.0, 0.5),
    (1.5, 0.75),
    (0.75, 1.125),
    (0.0, 1.5),
    (0.0, 1.0),
    (0.0, 0.5),
    (0.0, 0.0),
)
"""A closed triangle of three saccades, (down, right) in pixels before each of 8 steps and after the last."""


def upsample(images: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Bilinear interpolation of images (n, H, W) to ``factor`` times their size; edges are repeated."""
    for axis in (1, 2):
        size = images.shape[axis]
        position = (np.arange(size * factor) + 0.5) / factor - 0.5
        images = _sample(images, axis, position.clip(0, size - 1))
    return images


def image_events(
    images: NDArray[np.float64], threshold: float, path: tuple[tuple[float, float], ...] = SACCADE
) -> NDArray[np.uint8]:
    """Events of images that move along a closed path, as an event camera in front of a screen sees them.

    Each pixel remembers the intensity of its last event. In a step it emits an on event when its intensity is
    above the memory by ``threshold`` or more, an off event when it is below by as much, and remembers the new
    intensity (N-MNIST style saccades; the pixel model is that of the 128x128 temporal contrast sensor, JSSC 2008,
    on a linear scale).
    All positions are multiples of 1/8 pixel, so that intensities are exact and events the same everywhere.

    Parameters
    ----------
    images : array (n, H, W)
        Intensities; zero outside.
    threshold : float
        Change that makes an event.
    path : tuple of (down, right)
        Position before the first step and after each one, in pixels, 0 or more.

    Returns
    -------
    uint8 array (n, T, 2, H, W)
        Off and on events; T is one less than the positions.
    """
    memory = _moved(images, *path[0])
    frames = []
    for position in path[1:]:
        intensity = _moved(images, *position)
        change = intensity - memory
        events = np.stack([change <= -threshold, change >= threshold], axis=1)
        memory = np.where(events.any(axis=1), intensity, memory)
        frames.append(events)
    return np.stack(frames, axis=1).astype(np.uint8)


def _moved(images: NDArray[np.float64], down: float, right: float) -> NDArray[np.float64]:
    """Images (n, H, W) moved by a fraction of pixels; what enters is zero."""
    for axis, distance in ((1, down), (2, right)):
        margin = int(np.ceil(distance)) + 1
        padding = [(0, 0)] * 3
        padding[axis] = (margin, 0)
        position = np.arange(images.shape[axis]) + margin - distance
        images = _sample(np.pad(images, padding), axis, position)
    return images


def _sample(images: NDArray[np.float64], axis: int, position: NDArray[np.floating]) -> NDArray[np.float64]:
    """Linear interpolation of ``images`` at fractional positions along one axis."""
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, images.shape[axis] - 1)
    shape = [1] * images.ndim
    shape[axis] = -1
    weight = (position - low).reshape(shape)
    return np.take(images, low, axis) * (1 - weight) + np.take(images, high, axis) * weight
