"""AEDAT 2.0, the files that jAER records from a DVS128 camera."""

from pathlib import Path

import numpy as np

from sparta_hw.errors import InputFileError
from sparta_hw.files import read_bytes
from sparta_quant.data.binning import Events

__all__ = ["read_jaer"]

_FIRST_LINE = b"#!AER-DAT2.0"
_EVENT_BYTES = 8
_PIXEL_BITS = 15
_EARLIER_US = 1_000_000
"""Times that step back further than this were reset."""


def read_jaer(path: Path) -> Events:
    """Events of an AEDAT 2.0 file of a DVS128, times in microseconds from the first event on.

    Header lines begin with ``#``. An event has two big-endian words: the address, with column in bits 7..1, row in
    bits 14..8 and bit 0 set for off (darker); and the time. Addresses with higher bits are no pixels but
    synchronisation, and left out. Times may wrap around at 32 bits or, where the camera was reset, start again: both
    go on from the time before.

    Raises
    ------
    InputFileError
        The file is missing, of another format, or truncated.

    References
    ----------
    iniVation, "AEDAT file formats"; jAER, event extractor of the DVS128 (polarity).
    """
    content = read_bytes(path, "an AEDAT 2.0 recording")
    if not content.startswith(_FIRST_LINE):
        raise InputFileError(
            f"{path}: not AEDAT 2.0: begins with {content[: len(_FIRST_LINE)]!r}, expected {_FIRST_LINE!r}"
        )
    start = 0
    while content.startswith(b"#", start):
        start = content.find(b"\n", start) + 1 or len(content)
    if (len(content) - start) % _EVENT_BYTES:
        raise InputFileError(
            f"{path}: truncated: {len(content) - start} bytes of events, each has {_EVENT_BYTES}"
        )
    address, clock = np.frombuffer(content, ">u4", offset=start).astype(np.uint32).reshape(-1, 2).T
    step = np.diff(clock, prepend=clock[:1]).view(np.int32).astype(np.int64)
    time = np.cumsum(np.where(step < -_EARLIER_US, 0, step))
    pixel = address >> _PIXEL_BITS == 0
    address = address[pixel].astype(np.int64)
    return Events(
        x=address >> 1 & 0x7F,
        y=address >> 8 & 0x7F,
        polarity=~address & 1,
        time=time[pixel],
        recording=np.zeros_like(address),
    )
