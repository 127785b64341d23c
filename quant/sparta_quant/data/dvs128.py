"""Objects in front of a moving DVS128 camera, recorded in two sessions (DVS128 BioLab)."""

import re
from dataclasses import replace
from pathlib import Path

from sparta_hw.errors import InputFileError
from sparta_quant.data.dataset import Dataset, Split
from sparta_quant.data.jaer import read_jaer
from sparta_quant.data.recordings import Sampling, load_recordings

__all__ = ["is_dvs128", "load_dvs128"]

_WINDOW_MS = 100.0
_DEPTHS = ("*/*.aedat", "*/*/*.aedat")


def is_dvs128(root: Path) -> bool:
    """Whether there are recordings in folders, or in folders of folders."""
    return any(any(root.glob(depth)) for depth in _DEPTHS)


def load_dvs128(root: str | Path, split: Split, sampling: Sampling) -> Dataset:
    """Objects in two sessions, ``<session>/<object>.aedat`` or ``<session>/<folder>/<object>.aedat``.

    The larger session is for training, the other for the test: windows of one session resemble each other too much
    to test on. Classes are the objects that both sessions have; ``Name_1`` is another recording of ``Name``. Unless
    ``sampling`` says otherwise, a sample lasts 100 ms, about 1000 events.

    Parameters
    ----------
    root : path
        Folder with the two sessions.
    split : {"train", "test"}
        Which of them.
    sampling : Sampling
        Steps, size and length of a sample.

    Raises
    ------
    InputFileError
        There are not two sessions, they share no object, or a file is damaged or shorter than a window.
    """
    folder = Path(root)
    sessions: dict[str, list[Path]] = {}
    for depth in _DEPTHS:
        for path in sorted(folder.glob(depth)):
            sessions.setdefault(path.relative_to(folder).parts[0], []).append(path)
    if len(sessions) != 2:
        raise InputFileError(
            f"{folder}: {len(sessions)} folders have .aedat files ({', '.join(sessions)}), expected two sessions"
        )
    test, train = sorted(sessions.values(), key=lambda files: sum(file.stat().st_size for file in files))
    classes = sorted({_class(file) for file in train} & {_class(file) for file in test})
    if not classes:
        raise InputFileError(f"{folder}: the sessions {' and '.join(sessions)} have no object in common")
    files = [
        (file, classes.index(_class(file)))
        for file in (train if split == "train" else test)
        if _class(file) in classes
    ]
    sampling = replace(sampling, window_ms=sampling.window_ms or _WINDOW_MS)
    return load_recordings("DVS128 objects", files, tuple(classes), read_jaer, sampling)


def _class(file: Path) -> str:
    return re.sub(r"_\d+$", "", file.stem)
