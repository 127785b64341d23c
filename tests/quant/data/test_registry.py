"""Layouts are recognised by their content."""

from pathlib import Path

import pytest

from sparta_hw.errors import InputFileError
from sparta_quant.data import check_has_splits, open_dataset
from sparta_quant.data.registry import LAYOUTS


def test_embedded_digits() -> None:
    assert len(open_dataset("digits", "test", steps=8)) == 359


def test_missing_path() -> None:
    with pytest.raises(
        InputFileError, match=r"nowhere: no such file or folder; name a data set, or 'digits'"
    ):
        open_dataset("nowhere", "test", steps=8)


def test_one_split_is_not_enough_for_a_training(tmp_path: Path) -> None:
    (tmp_path / "x_train.npz").touch()
    with pytest.raises(InputFileError, match=r"x_train.npz: a file is one split; name the folder with both"):
        check_has_splits(tmp_path / "x_train.npz")
    check_has_splits(tmp_path)
    check_has_splits("digits")


def test_unknown_layout_lists_the_supported_ones(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"supported:\n  N-MNIST, one split packed"):
        open_dataset(tmp_path, "test", steps=8)


@pytest.mark.parametrize(
    ("file", "layout"),
    [
        ("nmnist_train.npz", "N-MNIST, both splits packed"),
        ("Train/3/00001.bin", "N-MNIST, official"),
        ("60001.bs2", "N-MNIST, listed"),
        ("ibmGestureTest/user24_led/0.npy", "DVS-Gesture"),
        ("ship/cifar10_ship_0.aedat4", "CIFAR10-DVS"),
        ("ship/cifar10_ship_0.aedat", "CIFAR10-DVS"),
        ("session/Cup.aedat", "DVS128 objects"),
        ("session/files/Cup.aedat", "DVS128 objects"),
        ("data_batch_1", "CIFAR-10 or CIFAR-100"),
        ("cifar-10-batches-bin/test_batch.bin", "CIFAR-10 or CIFAR-100"),
        ("train-images-idx3-ubyte.gz", "MNIST"),
        ("test/ship/0000.jpg", "images"),
    ],
)
def test_layouts_are_recognised(tmp_path: Path, file: str, layout: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert next(known.name for known in LAYOUTS if known.matches(tmp_path)).startswith(layout)
