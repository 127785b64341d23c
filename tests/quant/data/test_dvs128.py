"""DVS128 objects: AEDAT 2.0 files, split by session."""

import struct
from pathlib import Path

import numpy as np
import pytest

from sparta_hw.errors import InputFileError
from sparta_quant.data.dvs128 import load_dvs128
from sparta_quant.data.jaer import read_jaer
from sparta_quant.data.recordings import Sampling

HEADER = b"#!AER-DAT2.0\r\n# Timestamps tick: 1 us\r\n"


def aedat2(*events: tuple[int, int, int, int]) -> bytes:
    """Of rows x, y, polarity (1 on), microseconds."""
    return HEADER + b"".join(struct.pack(">II", y << 8 | x << 1 | 1 - p, t) for x, y, p, t in events)


def write(root: Path, recordings: dict[str, bytes]) -> Path:
    for name, content in recordings.items():
        path = root / f"{name}.aedat"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


SHORT = aedat2((1, 2, 1, 1000), (3, 4, 0, 100_999))
LONG = aedat2((1, 2, 1, 0), (3, 4, 0, 99_999), (127, 126, 1, 100_000), (5, 6, 0, 199_999))


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    return write(
        tmp_path,
        {
            "a/Cup": SHORT,
            "a/Box": SHORT,
            "a/Pen": SHORT,
            "b/files/Cup": LONG,
            "b/files/Cup_1": LONG,
            "b/files/Box": LONG,
        },
    )


def test_the_larger_session_trains_on_the_objects_of_both(sessions: Path) -> None:
    train = load_dvs128(sessions, "train", Sampling(2))
    assert train.classes == ("Box", "Cup")
    np.testing.assert_array_equal(train.labels, [0, 0, 1, 1, 1, 1])
    assert (train.inputs[0, 1, 2, 1], train.inputs[0, 0, 4, 3]) == (0b01, 0b10)
    assert (train.inputs[1, 1, 126, 127], train.inputs[1, 0, 6, 5]) == (0b01, 0b10)
    test = load_dvs128(sessions, "test", Sampling(2))
    np.testing.assert_array_equal(test.labels, [0, 1])
    np.testing.assert_array_equal(test.inputs[0], train.inputs[0])


def test_the_window_can_be_chosen(sessions: Path) -> None:
    assert len(load_dvs128(sessions, "train", Sampling(2, window_ms=50))) == 3 * 4


def test_wrapped_and_reset_times_go_on(tmp_path: Path) -> None:
    content = aedat2((0, 0, 0, 2**32 - 10), (0, 0, 0, 5), (0, 0, 0, 3), (0, 0, 0, 5_000_000), (0, 0, 0, 7))
    (tmp_path / "one.aedat").write_bytes(content + struct.pack(">II", 0, 20))
    np.testing.assert_array_equal(
        read_jaer(tmp_path / "one.aedat").time, [0, 15, 13, 5_000_010, 5_000_010, 5_000_023]
    )


def test_synchronisation_is_no_pixel(tmp_path: Path) -> None:
    (tmp_path / "one.aedat").write_bytes(aedat2((1, 1, 1, 0)) + struct.pack(">II", 0x8000, 5))
    assert len(read_jaer(tmp_path / "one.aedat").x) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SHORT[:-3], r"Cup\.aedat: truncated: 13 bytes of events, each has 8"),
        (b"#!AER-DAT1.0\r\n", r"Cup\.aedat: not AEDAT 2\.0: begins with b'#!AER-DAT1\.0'"),
        (HEADER, r"Cup\.aedat: has no events"),
        (HEADER[:-2], r"Cup\.aedat: has no events"),
    ],
)
def test_damaged_recording(tmp_path: Path, content: bytes, message: str) -> None:
    write(tmp_path, {"a/Cup": content, "b/Cup": LONG})
    with pytest.raises(InputFileError, match=message):
        load_dvs128(tmp_path, "test", Sampling(2))


@pytest.mark.parametrize(
    ("recordings", "message"),
    [
        ({"a/Cup": LONG}, r"1 folders have \.aedat files \(a\), expected two sessions"),
        ({"a/Cup": LONG, "b/Box": LONG}, "the sessions a and b have no object in common"),
    ],
)
def test_other_sessions(tmp_path: Path, recordings: dict[str, bytes], message: str) -> None:
    with pytest.raises(InputFileError, match=message):
        load_dvs128(write(tmp_path, recordings), "train", Sampling(2))
