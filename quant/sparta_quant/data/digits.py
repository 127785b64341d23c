"""The embedded data set: scikit-learn's handwritten digits in front of a simulated event camera."""

import numpy as np

from sparta_quant.data.camera import image_events, upsample
from sparta_quant.data.dataset import Dataset, Split, pack_frames

__all__ = ["DIGITS", "load_digits"]

DIGITS = "digits"
"""Its name, in place of a path."""

_TEST_PERIOD = 5
_THRESHOLD = 2.0


def load_digits(split: Split) -> Dataset:
    """Scikit-learn's handwritten digits (8 x 8, 1797 images) as events on 16 x 16 pixels in 8 steps.

    Images are interpolated to 16 x 16 and moved along :data:`~sparta_quant.data.camera.SACCADE`; a change by 1/8
    of the full intensity is an event. Of each class every fifth image, from the third on, is for the test:
    359 of the 1797.
    """
    from sklearn.datasets import load_digits as load_images

    digits = load_images()
    labels = digits.target.astype(np.int64)
    rank = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        members = labels == label
        rank[members] = np.arange(members.sum())
    chosen = (rank % _TEST_PERIOD == _TEST_PERIOD // 2) == (split == "test")
    images = upsample(digits.images[chosen], 2)
    frames = image_events(images, _THRESHOLD)
    classes = tuple(str(digit) for digit in range(10))
    return Dataset(DIGITS, pack_frames(frames), labels[chosen], classes, frames.shape[1])
