"""Files that are whole or absent: atomic writes, and a binary container that notices every damage."""

import hashlib
import os
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sparta_hw.errors import InputFileError

__all__ = ["read_bytes", "read_sections", "write_atomic", "write_sections", "write_text"]

_HEAD = struct.Struct("<8sII")
_SECTION = struct.Struct("<4sQ")
_CHECKSUM_BYTES = 32


def write_atomic(path: str | Path, content: bytes) -> None:
    """Write ``content`` aside, then rename it to ``path``: readers see the old file or the whole new one.

    Raises
    ------
    InputFileError
        The folder does not exist, or cannot be written.
    """
    target = Path(path)
    try:
        handle, aside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(aside, 0o644)
            os.replace(aside, target)
        except BaseException:
            os.unlink(aside)
            raise
    except OSError as error:
        raise InputFileError(f"{target}: cannot write: {error.strerror}") from error


def write_text(path: str | Path, text: str) -> None:
    """:func:`write_atomic` of text in UTF-8."""
    write_atomic(path, text.encode())


def read_bytes(path: str | Path, what: str) -> bytes:
    """The content of a file; ``what`` says in the error what was expected there.

    Raises
    ------
    InputFileError
        There is no such file, or it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputFileError(f"{path}: no such file (expected {what})") from error
    except OSError as error:
        raise InputFileError(f"{path}: cannot read {what}: {error.strerror}") from error


def write_sections(path: str | Path, magic: bytes, version: int, sections: Mapping[str, bytes]) -> None:
    """Write magic (8 bytes), version, count, then tag, length and content of each section, then SHA-256."""
    parts = [_HEAD.pack(magic, version, len(sections))]
    for tag, content in sections.items():
        parts += [_SECTION.pack(tag.encode(), len(content)), content]
    body = b"".join(parts)
    write_atomic(path, body + hashlib.sha256(body).digest())


def read_sections(path: str | Path, magic: bytes, version: int, what: str) -> dict[str, bytes]:
    """Read what :func:`write_sections` wrote.

    Raises
    ------
    InputFileError
        The file is missing, of another kind or version, truncated, or altered.
    """
    content = read_bytes(path, what)
    if len(content) < _HEAD.size or not content.startswith(magic):
        raise InputFileError(f"{path}: not {what}: it does not start with {magic.decode()!r}")
    _, found, count = _HEAD.unpack_from(content)
    if found != version:
        raise InputFileError(
            f"{path}: {what} of format version {found}, this release reads version {version}"
        )
    sections: dict[str, bytes] = {}
    position = _HEAD.size
    end = len(content) - _CHECKSUM_BYTES
    for _ in range(count):
        if position + _SECTION.size > end:
            raise InputFileError(f"{path}: truncated: section {len(sections) + 1} of {count} is missing")
        tag, length = _SECTION.unpack_from(content, position)
        position += _SECTION.size
        if position + length > end:
            raise InputFileError(
                f"{path}: truncated: section {tag!r} has {length} bytes, {max(end - position, 0)} are there"
            )
        sections[tag.decode(errors="replace")] = content[position : position + length]
        position += length
    if position != end or hashlib.sha256(content[:end]).digest() != content[end:]:
        raise InputFileError(f"{path}: corrupt: its checksum does not match its content")
    return sections
