"""Images in one folder a class."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparta_hw.errors import InputFileError
from sparta_quant.data.image_folder import load_image_folder

PIXELS = np.random.default_rng(0).integers(256, size=(8, 6, 3), dtype=np.uint8)


def write(root: Path, name: str, pixels: np.ndarray = PIXELS) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_classes_are_folders_of_both_splits(tmp_path: Path) -> None:
    for name in ("train/dog/2.png", "train/cat/1.png", "train/cat/0.JPG", "test/cat/0.png", "test/eel/0.png"):
        write(tmp_path, name)
    (tmp_path / "train/cat/notes.txt").write_text("no image")
    train, test = (load_image_folder(tmp_path, split) for split in ("train", "test"))
    assert train.classes == test.classes == ("cat", "dog", "eel")
    np.testing.assert_array_equal(train.labels, [0, 0, 1])
    np.testing.assert_array_equal(test.labels, [0, 2])
    np.testing.assert_array_equal(train.inputs[2], PIXELS.transpose(2, 0, 1))
    assert train.coding == "direct"


def test_grey_images_get_three_channels(tmp_path: Path) -> None:
    write(tmp_path, "train/a/0.png", PIXELS[..., 0])
    np.testing.assert_array_equal(load_image_folder(tmp_path, "train").inputs[0], [PIXELS[..., 0]] * 3)


def test_no_images(tmp_path: Path) -> None:
    write(tmp_path, "train/a/0.png")
    with pytest.raises(InputFileError, match=r"test: no images; expected test/<class>/\*\.png"):
        load_image_folder(tmp_path, "test")


def test_another_size(tmp_path: Path) -> None:
    write(tmp_path, "train/a/0.png")
    write(tmp_path, "train/a/1.png", PIXELS[:5])
    with pytest.raises(InputFileError, match=r"1\.png: has 6 x 5 pixels, .*0\.png has 6 x 8; scale"):
        load_image_folder(tmp_path, "train")


def test_damaged_image(tmp_path: Path) -> None:
    path = write(tmp_path, "train/a/0.png")
    for content in (path.read_bytes()[:60], b"hello"):
        path.write_bytes(content)
        with pytest.raises(InputFileError, match=r"0\.png: not a readable image"):
            load_image_folder(tmp_path, "train")
