"""CIFAR-10 and CIFAR-100 from pickles and from binary records."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from sparta_hw.errors import InputFileError
from sparta_quant.data.cifar import load_cifar

PIXELS = np.random.default_rng(0).integers(256, size=(6, 3072), dtype=np.uint8)
LABELS = [3, 0, 1, 2, 3, 1]
NAMES = ["airplane", "automobile", "bird", "cat"]


def python_2(value: object) -> bytes:
    """In the protocol of Python 2, with NumPy by its name of that time."""
    return pickle.dumps(value, protocol=2).replace(b"numpy._core", b"numpy.core")


def original_batch(pixels: np.ndarray, labels: list[int]) -> bytes:
    """The opcodes that Python 2 itself writes: its strings become bytes."""
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01"
    array += struct.pack("<cBcH", b"K", len(pixels), b"M", pixels.shape[1]) + b"\x86cnumpy\ndtype\n"
    array += b"(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    array += struct.pack("<cI", b"T", pixels.size) + pixels.tobytes() + b"tb"
    numbers = b"".join(struct.pack("<cB", b"K", label) for label in labels)
    return b"\x80\x02}(U\x04data" + array + b"U\x06labels](" + numbers + b"eu."


def write_pickles(root: Path) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for n in range(5):
        batch = {b"data": PIXELS[n : n + 1], b"labels": LABELS[n : n + 1]}
        (folder / f"data_batch_{n + 1}").write_bytes(python_2(batch))
    (folder / "test_batch").write_bytes(python_2({b"data": PIXELS[5:], b"labels": LABELS[5:]}))
    (folder / "batches.meta").write_bytes(python_2({b"label_names": [name.encode() for name in NAMES]}))
    return folder


def write_records(root: Path) -> Path:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    records = [bytes([label]) + pixels.tobytes() for label, pixels in zip(LABELS, PIXELS, strict=True)]
    for n in range(5):
        (folder / f"data_batch_{n + 1}.bin").write_bytes(records[n])
    (folder / "test_batch.bin").write_bytes(records[5])
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return folder


@pytest.mark.parametrize("write", [write_pickles, write_records])
@pytest.mark.parametrize("inside", [True, False])
def test_cifar10(tmp_path: Path, write: object, inside: bool) -> None:
    folder = write(tmp_path)  # type: ignore[operator]
    train = load_cifar(folder if inside else tmp_path, "train")
    assert (train.name, train.classes, train.coding) == ("CIFAR-10", tuple(NAMES), "direct")
    np.testing.assert_array_equal(train.inputs, PIXELS[:5].reshape(5, 3, 32, 32))
    np.testing.assert_array_equal(train.labels, LABELS[:5])
    np.testing.assert_array_equal(load_cifar(folder, "test").labels, LABELS[5:])


def test_pickle_of_python_2(tmp_path: Path) -> None:
    folder = write_pickles(tmp_path)
    (folder / "test_batch").write_bytes(original_batch(PIXELS, LABELS))
    test = load_cifar(folder, "test")
    np.testing.assert_array_equal(test.inputs.reshape(6, 3072), PIXELS)
    np.testing.assert_array_equal(test.labels, LABELS)


def test_cifar100_pickles_have_fine_labels(tmp_path: Path) -> None:
    batch = {b"data": PIXELS, b"fine_labels": LABELS, b"coarse_labels": [9] * 6}
    (tmp_path / "train").write_bytes(python_2(batch))
    (tmp_path / "meta").write_bytes(python_2({b"fine_label_names": [b"a", b"b", b"c", b"d"]}))
    train = load_cifar(tmp_path, "train")
    assert (train.name, train.classes) == ("CIFAR-100", ("a", "b", "c", "d"))
    np.testing.assert_array_equal(train.labels, LABELS)


def test_cifar100_records_have_fine_labels(tmp_path: Path) -> None:
    records = [bytes([9, label]) + pixels.tobytes() for label, pixels in zip(LABELS, PIXELS, strict=True)]
    (tmp_path / "test.bin").write_bytes(b"".join(records))
    (tmp_path / "fine_label_names.txt").write_text("a\nb\nc\nd\n")
    test = load_cifar(tmp_path, "test")
    np.testing.assert_array_equal(test.inputs.reshape(6, 3072), PIXELS)
    np.testing.assert_array_equal(test.labels, LABELS)


class Code:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("was-run",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({b"data": PIXELS}, "not a CIFAR batch: it has no 'labels'"),
        ([1], "not a CIFAR batch: it has no 'data'"),
        ({b"data": PIXELS[:, 1:], b"labels": LABELS}, r"corrupt: data is no uint8 array \(images, 3072\)"),
        ({b"data": PIXELS, b"labels": LABELS[1:]}, r"corrupt: 6 images, \(5,\) labels"),
        ({b"data": PIXELS, b"labels": [4] * 6}, "corrupt: expected labels from 0 to 3"),
        ({b"data": Code(), b"labels": []}, r"not a CIFAR batch: it names posix\.mkdir, which is no array"),
    ],
)
def test_other_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_pickles(tmp_path)
    (folder / "test_batch").write_bytes(python_2(value))
    with pytest.raises(InputFileError, match=f"test_batch: {message}"):
        load_cifar(folder, "test")
    assert not (tmp_path / "was-run").exists()


def test_truncated_pickle(tmp_path: Path) -> None:
    folder = write_pickles(tmp_path)
    (folder / "test_batch").write_bytes((folder / "test_batch").read_bytes()[:-100])
    with pytest.raises(InputFileError, match="test_batch: not a CIFAR batch: "):
        load_cifar(folder, "test")


def test_truncated_records(tmp_path: Path) -> None:
    folder = write_records(tmp_path)
    (folder / "test_batch.bin").write_bytes(bytes(3072))
    with pytest.raises(InputFileError, match=r"test_batch\.bin: truncated: 3072 bytes, an image has 3073"):
        load_cifar(folder, "test")


@pytest.mark.parametrize(
    ("write", "name"), [(write_pickles, "data_batch_3"), (write_records, "data_batch_3.bin")]
)
def test_missing_file(tmp_path: Path, write: object, name: str) -> None:
    folder = write(tmp_path)  # type: ignore[operator]
    (folder / name).unlink()
    with pytest.raises(InputFileError, match=f"{name}: no such file"):
        load_cifar(folder, "train")


def test_missing_release(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no CIFAR release in it; expected cifar-10-batches-py, "):
        load_cifar(tmp_path, "train")
