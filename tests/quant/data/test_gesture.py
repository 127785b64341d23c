"""DVS-Gesture, one array of events a gesture."""

from pathlib import Path

import numpy as np
import pytest

from sparta_hw.errors import InputFileError
from sparta_quant.data.gesture import load_gesture
from sparta_quant.data.recordings import Sampling

EVENTS = [[127, 0, 1, 1000], [5, 6, 0, 4000], [5, 6, 0, 4999]]
"""x, y, polarity, milliseconds."""


def write(root: Path, name: str, events: object) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.asarray(events))


def test_whole_recordings(tmp_path: Path) -> None:
    write(tmp_path, "ibmGestureTrain/user01_led/10.npy", np.array(EVENTS, np.int16))
    write(tmp_path, "ibmGestureTrain/user01_led/3.npy", np.array(EVENTS, np.float64))
    write(tmp_path, "ibmGestureTest/user24_lab/0.npy", EVENTS)
    train = load_gesture(tmp_path, "train", Sampling(20))
    np.testing.assert_array_equal(train.labels, [10, 3])
    assert len(train.classes) == 11
    assert train.shape == (2, 128, 128)
    assert train.inputs[0, 1, 0, 127] == 1
    assert train.inputs[0, 0, 6, 5] == 1 << 15 | 1 << 19
    np.testing.assert_array_equal(train.inputs[0], train.inputs[1])
    np.testing.assert_array_equal(load_gesture(tmp_path, "test", Sampling(20)).labels, [0])


def test_windows(tmp_path: Path) -> None:
    write(tmp_path, "ibmGestureTest/user24_lab/0.npy", EVENTS)
    windows = load_gesture(tmp_path, "test", Sampling(4, window_ms=750))
    np.testing.assert_array_equal(windows.labels, [0, 0])


@pytest.mark.parametrize(
    ("name", "events", "message"),
    [
        ("user01_led/11.npy", EVENTS, r"11\.npy: its name is no label; expected 0\.npy to 10\.npy"),
        ("user01_led/wave.npy", EVENTS, r"wave\.npy: its name is no label"),
        ("user01_led/1.npy", [[1, 2, 3]], r"1\.npy: is int64 \(1, 3\), expected numbers \(events, 4\)"),
        ("user01_led/1.npy", [["a"] * 4], r"1\.npy: is <U1 \(1, 4\)"),
        ("user01_led/1.npy", [[128, 0, 0, 0]], r"1\.npy: event 0 is at \(128, 0\)"),
        ("0.npy", EVENTS, r"ibmGestureTrain: no \.npy files; DVS-Gesture has"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, events: object, message: str) -> None:
    write(tmp_path / "ibmGestureTrain", name, events)
    with pytest.raises(InputFileError, match=message):
        load_gesture(tmp_path, "train", Sampling(4))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00v\x00"])
def test_files_of_another_format(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "ibmGestureTrain", "user01_led/1.npy", EVENTS)
    (tmp_path / "ibmGestureTrain/user01_led/1.npy").write_bytes(content)
    with pytest.raises(InputFileError, match=r"1\.npy: not a readable \.npy of events"):
        load_gesture(tmp_path, "train", Sampling(4))
