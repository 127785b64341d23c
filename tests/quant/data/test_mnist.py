"""MNIST in idx files, plain and compressed."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from sparta_hw.errors import InputFileError
from sparta_quant.data.mnist import load_mnist

PIXELS = np.random.default_rng(0).integers(256, size=(3, 28, 28), dtype=np.uint8)
LABELS = np.array([7, 0, 9], np.uint8)
IMAGES = "t10k-images-idx3-ubyte"


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / IMAGES).write_bytes(idx(PIXELS))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(LABELS))
    (tmp_path / "train-images.idx3-ubyte.gz").write_bytes(gzip.compress(idx(PIXELS[:2])))
    (tmp_path / "train-labels.idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[:2])))
    return tmp_path


def test_plain_and_compressed(folder: Path) -> None:
    test = load_mnist(folder, "test")
    np.testing.assert_array_equal(test.inputs, PIXELS[:, None])
    np.testing.assert_array_equal(test.labels, LABELS)
    assert (test.coding, len(test.classes)) == ("direct", 10)
    np.testing.assert_array_equal(load_mnist(folder, "train").inputs, PIXELS[:2, None])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (IMAGES, b"\0\0", r"truncated: 2 bytes, its header has 16"),
        (IMAGES, idx(PIXELS)[:-1], r"damaged: 2351 values, its header says 2352"),
        (IMAGES, idx(PIXELS) + b"0", r"damaged: 2353 values, its header says 2352"),
        (IMAGES, idx(LABELS) + bytes(20), r"not an idx file of bytes in 3 dimensions"),
        (IMAGES, idx(PIXELS[:2]), r"2 images of test have 3 labels"),
        ("t10k-labels-idx1-ubyte", idx(LABELS + 1), r"labels of test are no digits"),
    ],
)
def test_damaged_files(folder: Path, name: str, content: bytes, message: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(InputFileError, match=message):
        load_mnist(folder, "test")


def test_damaged_compression(folder: Path) -> None:
    path = folder / "train-images.idx3-ubyte.gz"
    for content in (b"hello", path.read_bytes()[:-20]):
        path.write_bytes(content)
        with pytest.raises(InputFileError, match=r"not a readable \.gz"):
            load_mnist(folder, "train")


def test_missing_file(folder: Path) -> None:
    (folder / IMAGES).unlink()
    with pytest.raises(InputFileError, match=f"has no {IMAGES}, nor with"):
        load_mnist(folder, "test")
