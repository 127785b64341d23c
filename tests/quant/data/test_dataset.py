"""Packed spike trains: frames, batches and event streams say the same."""

import numpy as np
import pytest
import torch

from sparta_quant.data import Dataset
from sparta_quant.data.binning import Events, bin_events
from sparta_quant.data.dataset import pack_frames


def events(x: np.ndarray, time: np.ndarray, recording: np.ndarray) -> Events:
    return Events(x, x * 0, x * 0 + 1, time, recording)


def test_packing_loses_nothing() -> None:
    frames = np.random.default_rng(0).integers(2, size=(3, 32, 2, 4, 5), dtype=np.uint8)
    dataset = Dataset("random", pack_frames(frames), np.arange(3), ("a", "b", "c"), 32)
    np.testing.assert_array_equal(dataset.spikes, frames)
    batch = dataset.unpacked(dataset.tensor(torch.tensor([2, 0])))
    np.testing.assert_array_equal(batch.numpy(), frames[[2, 0]].swapaxes(0, 1))
    assert dataset.coding == "spikes"
    assert dataset.shape == (2, 4, 5)


def test_pixels_stay_as_they_are() -> None:
    pixels = np.random.default_rng(0).integers(256, size=(3, 3, 4, 5), dtype=np.uint8)
    dataset = Dataset("pixels", pixels, np.arange(3), ("a", "b", "c"), 0).subset([1, 2])
    np.testing.assert_array_equal(dataset.unpacked(dataset.tensor(torch.tensor([1]))).numpy(), pixels[2:])
    assert dataset.coding == "direct"


def test_binning_marks_each_step_once_and_leaves_out_late_events() -> None:
    time = np.array([0, 1, 49, 50, 99, 100, -1])
    x = np.array([0, 0, 1, 1, 2, 2, 2])
    words = bin_events(events(x, time, x * 0), 1, steps=2, duration=100, size=(1, 3))
    np.testing.assert_array_equal(words[0, 1, 0], [0b01, 0b11, 0b10])
    assert not words[:, 0].any()


def test_many_recordings_are_binned_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparta_quant.data.binning._CHUNK_BITS", 2 * 2 * 3 * 32)
    rng = np.random.default_rng(0)
    parts = [
        events(rng.integers(3, size=20), rng.integers(100, size=20), np.zeros(20, int)) for _ in range(5)
    ]
    words = bin_events(Events.joined(parts), 5, steps=8, duration=100, size=(1, 3))
    for n, part in enumerate(parts):
        np.testing.assert_array_equal(words[n], bin_events(part, 1, steps=8, duration=100, size=(1, 3))[0])
