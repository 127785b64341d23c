"""Images in one folder a class."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sparta_hw.errors import InputFileError
from sparta_quant.data.dataset import Dataset, Split

__all__ = ["is_image_folder", "load_image_folder"]

_SUFFIXES = (".png", ".jpg", ".jpeg")
_SPLITS = ("train", "test")


def is_image_folder(root: Path) -> bool:
    """Whether there are images in ``train|test/<class>``."""
    return any(path.suffix.lower() in _SUFFIXES for split in _SPLITS for path in root.glob(f"{split}/*/*.*"))


def load_image_folder(root: str | Path, split: Split) -> Dataset:
    """Images ``train|test/<class>/*.png|jpg|jpeg`` as pixels (n, 3, H, W), all of one size.

    Classes are the folders of both splits in alphabetical order. JPEG is lossy: accuracies on images stored so are
    not those of the originals.

    Raises
    ------
    InputFileError
        The split has no images, or one is damaged or of another size than the first.
    """
    base = Path(root)
    classes = sorted({folder.name for name in _SPLITS for folder in base.glob(f"{name}/*/")})
    files = [(path, label) for label, name in enumerate(classes) for path in _images(base / split / name)]
    if not files:
        raise InputFileError(f"{base / split}: no images; expected {split}/<class>/*.png or *.jpg")
    first = _pixels(files[0][0])
    inputs = np.empty((len(files), *first.shape), np.uint8)
    for n, (path, _) in enumerate(tqdm(files, desc=f"reading {base.name}", unit="image", disable=None)):
        pixels = _pixels(path)
        if pixels.shape != first.shape:
            raise InputFileError(
                f"{path}: has {pixels.shape[2]} x {pixels.shape[1]} pixels, "
                f"{files[0][0]} has {first.shape[2]} x {first.shape[1]}; scale all images to one size"
            )
        inputs[n] = pixels
    labels = np.array([label for _, label in files], np.int64)
    return Dataset(f"{base.name} (images)", inputs, labels, tuple(classes), steps=0)


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES)


def _pixels(path: Path) -> NDArray[np.uint8]:
    """Pixels (3, H, W)."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputFileError(f"{path}: not a readable image: {error}") from error
