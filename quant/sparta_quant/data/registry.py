"""One way to open any supported data set: layouts are recognised by what is in the file or folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sparta_hw.errors import InputFileError
from sparta_quant.data.cifar import is_cifar, load_cifar
from sparta_quant.data.cifar10_dvs import is_cifar10_dvs, load_cifar10_dvs
from sparta_quant.data.dataset import Dataset, Split
from sparta_quant.data.digits import DIGITS, load_digits
from sparta_quant.data.dvs128 import is_dvs128, load_dvs128
from sparta_quant.data.gesture import is_gesture, load_gesture
from sparta_quant.data.image_folder import is_image_folder, load_image_folder
from sparta_quant.data.mnist import is_mnist, load_mnist
from sparta_quant.data.nmnist import load_nmnist, load_nmnist_list, load_nmnist_npz
from sparta_quant.data.recordings import Sampling

__all__ = ["LAYOUTS", "Layout", "check_has_splits", "open_dataset"]


@dataclass(frozen=True)
class Layout:
    """One layout on disk.

    Parameters
    ----------
    name : str
        What is in it and how, for error messages.
    matches : function of a path
        Whether a file or folder has this layout.
    load : function of path, split and sampling
        Reads it; pixels have no use for the sampling.
    """

    name: str
    matches: Callable[[Path], bool]
    load: Callable[[Path, Split, Sampling], Dataset]


def _one_npz(folder: Path, split: Split) -> Path | None:
    found = sorted(folder.glob(f"*_{split}.npz"))
    return found[0] if len(found) == 1 else None


def _load_npz_folder(folder: Path, split: Split, sampling: Sampling) -> Dataset:
    path = _one_npz(folder, split)
    if path is None:
        raise InputFileError(f"{folder}: expected one file *_{split}.npz in it")
    return load_nmnist_npz(path, sampling.steps)


LAYOUTS = (
    Layout(
        "N-MNIST, one split packed: *.npz with xyp, per_ms, offset and y",
        lambda path: path.suffix == ".npz",
        lambda path, split, sampling: load_nmnist_npz(path, sampling.steps),
    ),
    Layout(
        "N-MNIST, both splits packed: a folder with *_train.npz and *_test.npz",
        lambda path: any(_one_npz(path, split) for split in ("train", "test")),
        _load_npz_folder,
    ),
    Layout(
        "N-MNIST, official: Train|Test/<digit>/*.bin",
        lambda path: any(path.glob("T*/[0-9]/*.bin")),
        lambda path, split, sampling: load_nmnist(path, split, sampling.steps),
    ),
    Layout(
        "N-MNIST, listed: <sample>.bs2 with train*.txt and test*.txt",
        lambda path: any(path.glob("*.bs2")),
        lambda path, split, sampling: load_nmnist_list(path, split, sampling.steps),
    ),
    Layout(
        "DVS-Gesture: ibmGestureTrain|ibmGestureTest/user<n>_<light>/<label>.npy", is_gesture, load_gesture
    ),
    Layout("CIFAR10-DVS: <class>/*.aedat4 or <class>/*.aedat", is_cifar10_dvs, load_cifar10_dvs),
    Layout("DVS128 objects: two folders, one a session, with <object>.aedat", is_dvs128, load_dvs128),
    Layout(
        "CIFAR-10 or CIFAR-100: cifar-10-batches-py|bin, cifar-100-python|binary",
        is_cifar,
        lambda path, split, sampling: load_cifar(path, split),
    ),
    Layout(
        "MNIST: train|t10k-images-idx3-ubyte, train|t10k-labels-idx1-ubyte, or with .gz",
        is_mnist,
        lambda path, split, sampling: load_mnist(path, split),
    ),
    Layout(
        "images: train|test/<class>/*.png or *.jpg",
        is_image_folder,
        lambda path, split, sampling: load_image_folder(path, split),
    ),
)
"""In the order in which they are tried."""


def check_has_splits(source: str | Path) -> None:
    """Refuse a source that is one split: a training measures on the other one.

    Raises
    ------
    InputFileError
        ``source`` is a file, which every split would read.
    """
    path = Path(source)
    if source != DIGITS and path.is_file():
        raise InputFileError(f"{path}: a file is one split; name the folder with both, for training and test")


def open_dataset(
    source: str | Path,
    split: Split,
    *,
    steps: int,
    size: tuple[int, int] | None = None,
    window_ms: float | None = None,
) -> Dataset:
    """Samples of ``source``.

    Parameters
    ----------
    source : str or path
        ``digits``, or a file or folder in one of :data:`LAYOUTS`. A file that is one split is that split.
    split : {"train", "test"}
        Which part.
    steps : int
        T that events are binned into, 1 to 32; pixels have none.
    size, window_ms
        Of recordings with 128 x 128 pixels: size and length of a sample (see
        :class:`~sparta_quant.data.recordings.Sampling`). The other layouts have one size and length each.

    Raises
    ------
    ConfigError
        Steps, size or window are out of their range.
    InputFileError
        There is no such file or folder, its layout is unknown, or something in it is missing or damaged.
    """
    if source == DIGITS:
        return load_digits(split)
    sampling = Sampling(steps, size, window_ms)
    path = Path(source)
    if not path.exists():
        raise InputFileError(
            f"{path}: no such file or folder; name a data set, or {DIGITS!r} for the embedded one"
        )
    for layout in LAYOUTS:
        if layout.matches(path):
            return layout.load(path, split, sampling)
    known = "".join(f"\n  {layout.name}" for layout in LAYOUTS)
    raise InputFileError(f"{path}: no data set in a supported layout; these are supported:{known}")
