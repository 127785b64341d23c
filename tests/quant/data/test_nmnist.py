"""N-MNIST from files: both layouts give the same frames, and damaged files are refused by name."""

from pathlib import Path

import numpy as np
import pytest

from sparta_hw.errors import InputFileError
from sparta_quant.data.nmnist import load_nmnist, load_nmnist_list, load_nmnist_npz

EVENTS = ((3, 5, 1, 0), (33, 33, 0, 40_000), (3, 5, 0, 299_000), (7, 8, 1, 70_000))
"""x, y, polarity, microseconds."""


def recording(events: tuple[tuple[int, int, int, int], ...]) -> bytes:
    return b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for x, y, p, t in events)


def write_folder(root: Path, content: bytes) -> None:
    for digit in range(10):
        folder = root / "Test" / str(digit)
        folder.mkdir(parents=True)
        (folder / "00001.bin").write_bytes(content)


def arrays() -> dict[str, np.ndarray]:
    ordered = sorted(EVENTS, key=lambda event: event[3])
    per_ms = np.zeros((1, 320), np.uint16)
    for event in ordered:
        per_ms[0, event[3] // 1000] += 1
    xyp = np.array([p << 12 | y << 6 | x for x, y, p, _ in ordered], np.uint16)
    return {"xyp": xyp, "per_ms": per_ms, "offset": np.array([0, len(xyp)]), "y": np.array([7], np.uint8)}


def test_official_layout(tmp_path: Path) -> None:
    write_folder(tmp_path, recording(EVENTS))
    dataset = load_nmnist(tmp_path, "test", steps=10)
    assert dataset.spikes.shape == (10, 10, 2, 34, 34)
    np.testing.assert_array_equal(dataset.labels, np.arange(10))
    expected = np.zeros((10, 2, 34, 34), np.uint8)
    expected[0, 1, 5, 3] = expected[1, 0, 33, 33] = expected[9, 0, 5, 3] = expected[2, 1, 8, 7] = 1
    np.testing.assert_array_equal(dataset.spikes[3], expected)


def test_packed_layout_gives_the_same_frames(tmp_path: Path) -> None:
    write_folder(tmp_path, recording(EVENTS))
    np.savez(tmp_path / "events.npz", **arrays())
    packed = load_nmnist_npz(tmp_path / "events.npz", steps=10)
    np.testing.assert_array_equal(packed.spikes[0], load_nmnist(tmp_path, "test", steps=10).spikes[0])
    np.testing.assert_array_equal(packed.labels, [7])


def write_list(root: Path, lines: str, content: bytes) -> None:
    (root / "test1.txt").write_text(lines)
    (root / "60001.bs2").write_bytes(content)


def test_listed_layout_gives_the_same_frames(tmp_path: Path) -> None:
    write_folder(tmp_path, recording(EVENTS))
    write_list(tmp_path, "#sample #class\n60001\t7\n", recording(EVENTS))
    listed = load_nmnist_list(tmp_path, "test", steps=10)
    np.testing.assert_array_equal(listed.inputs[0], load_nmnist(tmp_path, "test", steps=10).inputs[0])
    np.testing.assert_array_equal(listed.labels, [7])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "#sample #class\n60001\tseven\n",
            r"test1\.txt: line 2 is '60001\\tseven', expected a sample's number",
        ),
        ("#sample #class\n", r"test1\.txt: names no samples"),
        ("60002 7\n", r"60002\.bs2: no such file"),
    ],
)
def test_damaged_list(tmp_path: Path, lines: str, message: str) -> None:
    write_list(tmp_path, lines, recording(EVENTS))
    with pytest.raises(InputFileError, match=message):
        load_nmnist_list(tmp_path, "test", steps=10)


def test_missing_list(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"has 0 lists train\*\.txt"):
        load_nmnist_list(tmp_path, "train", steps=10)


def test_folder_without_recordings(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"Train/0: no \.bin files"):
        load_nmnist(tmp_path, "train", steps=8)


def test_truncated_recording(tmp_path: Path) -> None:
    write_folder(tmp_path, recording(EVENTS)[:-2])
    with pytest.raises(InputFileError, match=r"00001\.bin: truncated: 18 bytes"):
        load_nmnist(tmp_path, "test", steps=8)


def test_event_outside_the_sensor(tmp_path: Path) -> None:
    write_folder(tmp_path, recording(((34, 0, 0, 0),)))
    with pytest.raises(InputFileError, match=r"event 0 is at \(34, 0\), the sensor has 34 x 34"):
        load_nmnist(tmp_path, "test", steps=8)


def test_packed_file_missing(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        load_nmnist_npz(tmp_path / "events.npz", steps=8)


def test_packed_file_truncated(tmp_path: Path) -> None:
    path = tmp_path / "events.npz"
    np.savez(path, **arrays())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputFileError, match="not a readable"):
        load_nmnist_npz(path, steps=8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_ms": None}, "has no array 'per_ms'"),
        ({"xyp": arrays()["xyp"][:-1]}, "truncated: 1 labels"),
        ({"per_ms": arrays()["per_ms"] * 2}, "offset and per_ms count different events"),
        ({"y": np.array([1, 2])}, "truncated: 2 labels"),
    ],
)
def test_packed_arrays_that_contradict(tmp_path: Path, change: dict, message: str) -> None:
    content = {name: array for name, array in (arrays() | change).items() if array is not None}
    np.savez(tmp_path / "events.npz", **content)
    with pytest.raises(InputFileError, match=message):
        load_nmnist_npz(tmp_path / "events.npz", steps=8)
