"""A folder of build results, each named after the content of everything it was built from."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["build_once", "cache_dir", "content_key", "locked"]


def cache_dir() -> Path:
    """``$SPARTA_CACHE``, or ``sparta_hw`` in the user's cache folder."""
    chosen = os.environ.get("SPARTA_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparta_hw"


def content_key(parts: Iterable[str]) -> str:
    """Hash that changes with any part, and with where one part ends and the next begins."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:24]


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Only one process at a time is in here for a ``target``."""
    with open(Path(tempfile.gettempdir(), f"sparta_hw-{content_key([str(target)])}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_once(target: Path, build: Callable[[Path], Path]) -> Path:
    """``target``, made by ``build`` unless it is there.

    ``build(folder)`` works in a temporary folder and returns the file it made, which is renamed into place in
    one step: an interrupted build leaves no half a file. A second process that wants the same waits for the first.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target):
        if not target.exists():
            with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as folder:
                os.replace(build(Path(folder)), target)
    return target
