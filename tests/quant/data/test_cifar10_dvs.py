"""CIFAR10-DVS in AEDAT 4 and in AEDAT 2.0, split nine to one."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from sparta_hw.errors import InputFileError, SpartaError
from sparta_quant.data.cifar10_dvs import load_cifar10_dvs
from sparta_quant.data.recordings import Sampling

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
INFO = b"""<dv version="2.0"><node name="outInfo" path="/outInfo/"><node name="0" path="/outInfo/0/">
<attr key="compression" type="string">NONE</attr><attr key="typeIdentifier" type="string">EVTS</attr>
<node name="info" path="/outInfo/0/info/"><attr key="sizeX" type="int">128</attr>
<attr key="sizeY" type="int">128</attr></node></node></node></dv>"""


def aedat4(*packets: list[tuple[int, int, int, int]]) -> bytes:
    """Packets of rows x, y, polarity, microseconds, as flatbuffers without compression."""
    header = struct.pack("<I4s6xHHHHHiiIq4xI", 24, b"IOHE", 10, 24, 4, 12, 8, 10, 0, 16, -1, len(INFO))
    content = b"#!AER-DAT4.0\r\n" + sized(header + INFO + b"\0")
    for events in packets:
        packet = struct.pack("<I4s2xHHHiII", 16, b"EVTS", 6, 8, 4, 6, 4, len(events))
        packet += b"".join(struct.pack("<qhhB3x", t, x, y, p) for x, y, p, t in events)
        content += struct.pack("<i", 0) + sized(sized(packet))
    return content


def sized(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


FOUR = aedat4([(127, 0, 1, 10_000)], [(5, 6, 0, 11_000), (5, 6, 0, 13_999)])
TWO = b"#!AER-DAT2.0\r\n" + struct.pack(
    ">6I", 127 << 1, 10_000, 6 << 8 | 5 << 1 | 1, 11_000, 6 << 8 | 5 << 1 | 1, 13_999
)


def write(root: Path, suffix: str, content: bytes, count: int = 10) -> Path:
    for name in CLASSES:
        (root / name).mkdir()
        for number in range(count):
            (root / name / f"cifar10_{name}_{number}.{suffix}").write_bytes(content)
    return root


@pytest.mark.parametrize(("suffix", "content"), [("aedat4", FOUR), ("aedat", TWO)])
def test_both_formats_give_the_same_samples(tmp_path: Path, suffix: str, content: bytes) -> None:
    test = load_cifar10_dvs(write(tmp_path, suffix, content), "test", Sampling(4))
    assert test.classes == CLASSES
    np.testing.assert_array_equal(test.labels, np.arange(10))
    assert (test.inputs[3, 1, 0, 127], test.inputs[3, 0, 6, 5]) == (0b0001, 0b1010)
    assert np.bitwise_count(test.inputs[3]).sum() == 3


def test_the_files_with_the_highest_numbers_are_for_the_test(tmp_path: Path) -> None:
    write(tmp_path, "aedat4", FOUR, count=20)
    for number in (18, 19):
        path = tmp_path / "bird" / f"cifar10_bird_{number}.aedat4"
        path.write_bytes(aedat4([(1, 1, 1, number)]))
    train, test = (load_cifar10_dvs(tmp_path, split, Sampling(1)) for split in ("train", "test"))
    assert (len(train), len(test)) == (180, 20)
    assert np.bitwise_count(train.inputs).sum() == 180 * 2
    np.testing.assert_array_equal(test.labels, np.repeat(np.arange(10), 2))
    assert test.inputs[4:6, 1, 1, 1].all()


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aedat", None)
    with pytest.raises(SpartaError, match=r"needs the package aedat: pip install 'sparta-hw\[aedat\]'"):
        load_cifar10_dvs(write(tmp_path, "aedat4", FOUR), "test", Sampling(4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (FOUR[:-5], "not a readable AEDAT 4 recording"),
        (b"#!AER-DAT3.1\r\n", "not a readable AEDAT 4 recording"),
        (aedat4(), "has no events"),
        (aedat4([(128, 0, 0, 0)]), r"event 0 is at \(128, 0\)"),
    ],
)
def test_damaged_recording(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputFileError, match=rf"cifar10_airplane_9\.aedat4: {message}"):
        load_cifar10_dvs(write(tmp_path, "aedat4", content), "test", Sampling(4))


def test_too_few_files(tmp_path: Path) -> None:
    write(tmp_path, "aedat4", FOUR, count=1)
    with pytest.raises(InputFileError, match=r"airplane: 1 \.aedat4 files, too few to split nine to one"):
        load_cifar10_dvs(tmp_path, "train", Sampling(4))
