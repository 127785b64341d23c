"""Recordings become samples: whole or cut into windows, at the sensor's size or smaller."""

from pathlib import Path

import numpy as np
import pytest

from sparta_hw.errors import ConfigError, InputFileError
from sparta_quant.data import Dataset
from sparta_quant.data.binning import Events
from sparta_quant.data.recordings import Sampling, load_recordings


def events(*rows: tuple[int, int, int, int]) -> Events:
    """Of rows x, y, polarity, microseconds."""
    x, y, polarity, time = np.array(rows, np.int64).reshape(-1, 4).T
    return Events(x, y, polarity, time, np.zeros_like(x))


def load(recording: Events, sampling: Sampling) -> Dataset:
    return load_recordings("test", [(Path("one"), 1)], ("a", "b"), lambda path: recording, sampling)


def test_a_file_is_one_sample_over_its_whole_duration() -> None:
    dataset = load(events((127, 0, 1, 5000), (3, 4, 0, 8999), (3, 4, 0, 7000)), Sampling(4))
    assert dataset.shape == (2, 128, 128)
    assert dataset.inputs[0, 1, 0, 127] == 0b0001
    assert dataset.inputs[0, 0, 4, 3] == 0b1100
    assert np.bitwise_count(dataset.inputs).sum() == 3
    np.testing.assert_array_equal(dataset.labels, [1])


def test_windows_leave_out_their_rest_and_the_empty_ones() -> None:
    recording = events(
        (0, 0, 0, 1_000), (1, 0, 0, 2_999), (2, 0, 0, 7_000), (3, 0, 0, 9_500), (4, 0, 0, 10_500)
    )
    dataset = load(recording, Sampling(2, window_ms=2))
    np.testing.assert_array_equal(dataset.labels, [1, 1])
    np.testing.assert_array_equal(dataset.inputs[:, 0, 0, :5], [[1, 2, 0, 0, 0], [0, 0, 1, 0, 0]])


def test_windows_of_events_out_of_order() -> None:
    recording = events((0, 0, 0, 3_000), (1, 0, 0, 0), (2, 0, 0, 3_999), (3, 0, 0, 1_000))
    dataset = load(recording, Sampling(2, window_ms=2))
    np.testing.assert_array_equal(dataset.inputs[:, 0, 0, :4], [[0, 1, 0, 2], [2, 0, 2, 0]])


def test_smaller_pixels_gather_the_events_that_they_cover() -> None:
    recording = events((0, 3, 1, 0), (3, 0, 1, 1), (4, 0, 1, 0), (127, 127, 1, 1))
    words = load(recording, Sampling(2, size=(32, 32))).inputs[0, 1]
    assert words.shape == (32, 32)
    assert (words[0, 0], words[0, 1], words[31, 31]) == (0b11, 0b01, 0b10)


def test_no_events() -> None:
    with pytest.raises(InputFileError, match="one: has no events"):
        load(events(), Sampling(4))


def test_outside_the_sensor() -> None:
    with pytest.raises(InputFileError, match=r"one: event 1 is at \(5, 128\), the sensor has 128 x 128"):
        load(events((0, 0, 0, 0), (5, 128, 0, 0)), Sampling(4))


def test_unknown_polarity() -> None:
    with pytest.raises(InputFileError, match="one: event 0 has polarity 2, expected 0"):
        load(events((0, 0, 2, 0)), Sampling(4))


def test_shorter_than_a_window() -> None:
    with pytest.raises(InputFileError, match=r"one: lasts 5\.001 ms, shorter than a window of 6 ms"):
        load(events((0, 0, 0, 0), (0, 0, 0, 5_000)), Sampling(4, window_ms=6))


def test_larger_than_the_sensor() -> None:
    with pytest.raises(ConfigError, match="test has 128 x 128 pixels, they cannot become 130 x 128"):
        load(events((0, 0, 0, 0)), Sampling(4, size=(128, 130)))


@pytest.mark.parametrize(
    ("steps", "window_ms", "message"),
    [
        (0, None, "1 to 32 steps, not 0"),
        (33, None, "1 to 32 steps, not 33"),
        (4, 0.001, "window of 0.001 ms"),
    ],
)
def test_sampling_out_of_range(steps: int, window_ms: float | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Sampling(steps, window_ms=window_ms)
