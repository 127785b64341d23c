"""Where a tensor lies in the core, and how its numbers become lines of the spike memory and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.errors import InputFileError
from sparta_hw.ir import Kind
from sparta_hw.numerics import FixedPoint

__all__ = ["Memory", "TensorLayout", "words_per_line"]

IntArray = NDArray[np.int64]


class Memory(Enum):
    """The memory (or the output) that holds a tensor."""

    SPIKES = "spikes"
    MSP = "msp"
    TEMPORAL = "temporal"
    FIRST = "first"
    INTERVAL = "interval"
    RATE = "rate"
    GROUP = "group"
    SPATIAL = "spatial"
    SCORE = "score"
    DYNAMIC_K = "dynamic_k"
    SELECT = "select"
    QUERY = "query"
    KEY = "key"
    VALUE = "value"
    ATTENTION = "attention"
    RESULTS = "results"
    STATE = "state"


def words_per_line(config: CoreConfig) -> int:
    """32-bit words that carry one line of L x S bits."""
    return -(-config.line * config.steps // 32)


@dataclass(frozen=True, kw_only=True)
class TensorLayout:
    """One tensor in memory.

    Parameters
    ----------
    name : str
        Name of the value.
    memory : Memory
        Where it is.
    shape : tuple of int
        Of one sample: (T, C, H, W) of spikes, (C, H, W) of pixels, (positions, channels) or (channels,) of
        integers. A tensor over ranks has as many as the largest K that the core can run.
    kind : Kind
        Spikes, integers or indices.
    type : FixedPoint
        Grid and range.
    pitch : int
        Entries from one position to the next. Query, key and value: pitch / P rows a rank.
    steps, groups : int
        Spike memory: time steps or bit planes, and lines of one set of entries.
    base, lines : int
        Spike memory: first line, and number of lines.
    descriptors : tuple of int
        Indices of the descriptors that write it; none for the network's input.
    """

    name: str
    memory: Memory
    shape: tuple[int, ...]
    kind: Kind
    type: FixedPoint
    pitch: int = 0
    steps: int = 0
    groups: int = 0
    base: int = 0
    lines: int = 0
    descriptors: tuple[int, ...] = ()

    @property
    def positions(self) -> int:
        """Pixels, tokens, or 1."""
        if len(self.shape) > 2:
            return self.shape[-2] * self.shape[-1]
        return self.shape[0] if len(self.shape) == 2 else 1

    @property
    def channels(self) -> int:
        """Channels or features of one position."""
        return self.shape[-3] if len(self.shape) > 2 else self.shape[-1]

    def pack(self, values: NDArray[Any], config: CoreConfig) -> NDArray[np.uint32]:
        """Lines of the spike memory, (lines, ceil(L * S / 32)) words of 32 bits, that hold ``values``.

        Entry e of group g is in line ``(e // L) * groups + g`` at bits ``(e % L) * S`` and up; step t is bit
        ``t % S`` of group ``t // S``; a line's lowest bits are in its first word.

        Raises
        ------
        InputFileError
            ``values`` does not have the shape, or the range, of the tensor.
        """
        found = np.asarray(values)
        if found.shape != self.shape:
            raise InputFileError(f"{self.name}: the array has shape {found.shape}, not {self.shape}")
        low, high = (0, 1) if self.kind is Kind.SPIKES else (self.type.min, self.type.max)
        if found.size and not (
            low <= found.min() and found.max() <= high and np.all(found == found.astype(int))
        ):
            raise InputFileError(
                f"{self.name}: values reach from {found.min()} to {found.max()}, the tensor holds integers "
                f"from {low} to {high}"
            )
        entries = self.lines // self.groups * config.line
        bits = np.zeros((entries, self.groups * config.steps), np.uint8)
        used = bits[: self.positions * self.pitch].reshape(self.positions, self.pitch, -1)
        used[:, : self.channels, : self.steps] = self._planes(found.astype(np.int64))
        lines = bits.reshape(-1, config.line, self.groups, config.steps).transpose(0, 2, 1, 3)
        flat = lines.reshape(self.lines, config.line * config.steps)
        padded = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 32)))
        packed = np.ascontiguousarray(np.packbits(padded, axis=1, bitorder="little"))
        return packed.view("<u4").astype(np.uint32)

    def unpack(self, lines: NDArray[np.uint32], config: CoreConfig) -> IntArray:
        """The tensor's integers out of its lines, the inverse of :meth:`pack`; padding is ignored."""
        raw = np.ascontiguousarray(lines, "<u4").reshape(self.lines, -1).view(np.uint8)
        flat = np.unpackbits(raw, axis=1, bitorder="little", count=config.line * config.steps)
        grouped = flat.reshape(-1, self.groups, config.line, config.steps).transpose(0, 2, 1, 3)
        bits = grouped.reshape(-1, self.groups * config.steps)[: self.positions * self.pitch]
        used = bits.reshape(self.positions, self.pitch, -1)[:, : self.channels, : self.steps].astype(np.int64)
        if self.kind is Kind.SPIKES:
            return used.transpose(2, 1, 0).reshape(self.shape)
        weights = 1 << np.arange(self.steps, dtype=np.int64)[::-1]
        if self.type.signed:
            weights[0] = -weights[0]
        integers = used @ weights
        return (integers.T if len(self.shape) > 2 else integers).reshape(self.shape)

    def _planes(self, values: IntArray) -> IntArray:
        """(positions, channels, steps) bits; bit planes of integers have the most significant one first."""
        if self.kind is Kind.SPIKES:
            return values.reshape(self.steps, self.channels, self.positions).transpose(2, 1, 0)
        shifts = np.arange(self.steps)[::-1]
        if len(self.shape) > 2:
            values = values.reshape(self.channels, self.positions).T
        return values.reshape(self.positions, self.channels, 1) >> shifts & 1

    def to_json(self) -> dict[str, Any]:
        """Plain values for the program file."""
        plain = {key: getattr(self, key) for key in ("pitch", "steps", "groups", "base", "lines")}
        number = {"bits": self.type.bits, "frac": self.type.frac, "signed": self.type.signed}
        return {
            "memory": self.memory.value,
            "shape": list(self.shape),
            "kind": self.kind.value,
            "type": number,
            "descriptors": list(self.descriptors),
            **plain,
        }

    @classmethod
    def from_json(cls, name: str, plain: Mapping[str, Any]) -> "TensorLayout":
        """The inverse of :meth:`to_json`."""
        rest = {key: int(plain[key]) for key in ("pitch", "steps", "groups", "base", "lines")}
        return cls(
            name=name,
            memory=Memory(plain["memory"]),
            shape=tuple(int(n) for n in plain["shape"]),
            kind=Kind(plain["kind"]),
            type=FixedPoint(**plain["type"]),
            descriptors=tuple(int(n) for n in plain["descriptors"]),
            **rest,
        )
