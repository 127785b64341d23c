"""The event camera: known movements give known events, everywhere the same."""

import hashlib

import numpy as np
import pytest

from sparta_quant.data import Dataset, load_digits
from sparta_quant.data.camera import SACCADE, image_events, upsample


def test_path_is_closed_and_dyadic() -> None:
    assert SACCADE[0] == SACCADE[-1]
    assert len(SACCADE) == 9
    assert all((8 * c).is_integer() and c >= 0 for position in SACCADE for c in position)


def test_bright_pixel_that_moves_right_is_off_behind_and_on_ahead() -> None:
    image = np.zeros((1, 3, 4))
    image[0, 1, 1] = 16
    events = image_events(image, 2.0, ((0.0, 0.0), (0.0, 1.0)))
    expected = np.zeros((1, 1, 2, 3, 4), np.uint8)
    expected[0, 0, 0, 1, 1] = expected[0, 0, 1, 1, 2] = 1
    np.testing.assert_array_equal(events, expected)


def test_slow_change_adds_up_to_an_event() -> None:
    image = np.zeros((1, 1, 3))
    image[0, 0, 0] = 4
    path = tuple((0.0, right) for right in (0.0, 0.25, 0.5, 0.75, 1.0))
    on = image_events(image, 2.0, path)[0, :, 1, 0, 1]
    np.testing.assert_array_equal(on, [0, 1, 0, 1])


def test_upsampling_keeps_constants_and_interpolates() -> None:
    np.testing.assert_array_equal(upsample(np.full((1, 2, 2), 3.0), 2), np.full((1, 4, 4), 3.0))
    np.testing.assert_array_equal(upsample(np.array([[[0.0, 4.0]]]), 2)[0, 0], [0, 1, 3, 4])


def test_digits_are_split_by_class_and_always_the_same(digits: Dataset) -> None:
    train = load_digits("train")
    assert train.spikes.shape == (1438, 8, 2, 16, 16)
    assert digits.spikes.shape == (359, 8, 2, 16, 16)
    assert set(np.bincount(digits.labels)) <= {35, 36, 37}
    digest = hashlib.sha256(train.spikes.tobytes() + digits.spikes.tobytes()).hexdigest()
    assert digest == "1c9fa0a12b7022d2cfc8d84e389e02833816567407496f242e1fbf4ca47a9c3c"


@pytest.mark.parametrize("split", ["train", "test"])
def test_digits_are_sparse(split: str) -> None:
    assert 0.05 < load_digits(split).spikes.mean() < 0.2
