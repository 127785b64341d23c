"""The compiled program: the only thing that passes from the compiler to the core."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import DESCRIPTOR_BITS, Op, decode
from sparta_hw.errors import ConfigError, InputFileError
from sparta_hw.files import read_bytes, read_sections, write_sections, write_text
from sparta_hw.tensor_layout import Memory, TensorLayout

__all__ = ["Program"]

_MAGIC = b"SPARTAHW"
_VERSION = 1
_WHAT = "a compiled sparta_hw program"


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """Content of the core's memories, and where each tensor lies.

    Parameters
    ----------
    name : str
        Name of the network.
    config : CoreConfig
        The core it was built for.
    descriptors : tuple of int
        Words of 512 bits, the last one END.
    nodes : tuple of str
        The ONNX node behind each descriptor.
    weights : uint8 array (rows, P)
        Rows of the weight memory, lane 0 first.
    tables : int array (4, T * 8 + 1)
        Score tables first, interval, burst, rate; s11.4.
    tensors : mapping of str to TensorLayout
        All tensors that the core writes, and its input.
    input_name : str
        The input among ``tensors``; it starts at line 0.
    tokens, classes, default_k : int
        N, number of logits, and K when the user does not give one.
    """

    name: str
    config: CoreConfig
    descriptors: tuple[int, ...]
    nodes: tuple[str, ...]
    weights: NDArray[np.uint8]
    tables: NDArray[np.int64]
    tensors: Mapping[str, TensorLayout]
    input_name: str
    tokens: int
    classes: int
    default_k: int

    @property
    def input(self) -> TensorLayout:
        """Layout of the network's input; shape (T, C, H, W)."""
        return self.tensors[self.input_name]

    def tensor_in(self, memory: Memory) -> TensorLayout:
        """The one tensor of a memory other than the spike memory."""
        return next(layout for layout in self.tensors.values() if layout.memory is memory)

    def pack_input(self, spikes: NDArray[Any]) -> NDArray[np.uint32]:
        """Words for the core's input stream: the lines of the input, ceil(L * S / 32) words each.

        Parameters
        ----------
        spikes : int array (T, C, H, W)
            Zeros and ones.

        Raises
        ------
        InputFileError
            The shape is another one, or a value is neither 0 nor 1.
        """
        return self.input.pack(spikes, self.config).reshape(-1)

    def check_core(self, config: CoreConfig) -> None:
        """Make sure that a core of ``config`` runs this program.

        Raises
        ------
        ConfigError
            The program was built for another core; the message lists what differs.
        """
        mine, other = asdict(self.config), asdict(config)
        differing = [name for name in mine if name != "name" and mine[name] != other[name]]
        if differing:
            listing = ", ".join(f"{name} {mine[name]} (core has {other[name]})" for name in differing)
            raise ConfigError(
                f"program {self.name!r} was compiled for another core than {config.name!r}: {listing}; "
                f"compile it again for {config.name!r}"
            )

    def save(self, path: str | Path) -> None:
        """Write one binary file, whole or not at all."""
        meta = {
            "name": self.name,
            "config": asdict(self.config),
            "nodes": list(self.nodes),
            "tensors": {name: layout.to_json() for name, layout in self.tensors.items()},
            "input_name": self.input_name,
            "tokens": self.tokens,
            "classes": self.classes,
            "default_k": self.default_k,
        }
        size = DESCRIPTOR_BITS // 8
        sections = {
            "meta": json.dumps(meta).encode(),
            "code": b"".join(word.to_bytes(size, "little") for word in self.descriptors),
            "wght": np.ascontiguousarray(self.weights, np.uint8).tobytes(),
            "tabl": np.ascontiguousarray(self.tables, "<i2").tobytes(),
        }
        write_sections(path, _MAGIC, _VERSION, sections)

    @classmethod
    def load(cls, path: str | Path) -> "Program":
        """Read a program.

        Raises
        ------
        InputFileError
            The file is missing, truncated, altered, or no program.
        """
        sections = read_sections(path, _MAGIC, _VERSION, _WHAT)
        size = DESCRIPTOR_BITS // 8
        try:
            meta = json.loads(sections["meta"])
            config = CoreConfig(**meta["config"])
            code = sections["code"]
            return cls(
                name=meta["name"],
                config=config,
                descriptors=tuple(
                    int.from_bytes(code[at : at + size], "little") for at in range(0, len(code), size)
                ),
                nodes=tuple(meta["nodes"]),
                weights=np.frombuffer(sections["wght"], np.uint8).reshape(-1, config.lanes),
                tables=np.frombuffer(sections["tabl"], "<i2").reshape(4, -1).astype(np.int64),
                tensors={
                    name: TensorLayout.from_json(name, plain) for name, plain in meta["tensors"].items()
                },
                input_name=meta["input_name"],
                tokens=int(meta["tokens"]),
                classes=int(meta["classes"]),
                default_k=int(meta["default_k"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputFileError(f"{path}: not {_WHAT}: {error}") from error

    def table_rows(self) -> list[int]:
        """Rows of the score table memory: 4 x 16 bits, first lowest."""
        return [
            sum((int(entry) & 0xFFFF) << 16 * cue for cue, entry in enumerate(row)) for row in self.tables.T
        ]

    def weight_rows(self) -> list[int]:
        """Rows of the weight memory: P x 8 bits, lane 0 lowest."""
        return [int.from_bytes(row.tobytes(), "little") for row in self.weights]

    def write_images(self, directory: str | Path) -> None:
        """Write ``program.mem``, ``weights.mem`` and ``tables.mem`` for ``$readmemh``, one row a line."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        images = {
            "program.mem": (list(self.descriptors), DESCRIPTOR_BITS),
            "weights.mem": (self.weight_rows(), self.config.lanes * self.config.weight_bits),
            "tables.mem": (self.table_rows(), 4 * 16),
        }
        for name, (rows, bits) in images.items():
            text = "".join(f"{row:0{bits // 4}x}\n" for row in rows)
            write_text(folder / name, text)

    def read_images(self, directory: str | Path) -> "Program":
        """The same program with the memory contents of a folder of :meth:`write_images`.

        Raises
        ------
        InputFileError
            An image is missing, or has another size.
        """
        folder = Path(directory)
        weights = _read_image(folder / "weights.mem", len(self.weights))
        tables = _read_image(folder / "tables.mem", self.tables.shape[1])
        entries = np.array([[row >> 16 * cue & 0xFFFF for row in tables] for cue in range(4)], np.uint16)
        return replace(
            self,
            descriptors=tuple(_read_image(folder / "program.mem", len(self.descriptors))),
            weights=np.array([list(row.to_bytes(self.config.lanes, "little")) for row in weights], np.uint8),
            tables=entries.astype(np.int16).astype(np.int64),
        )

    def to_text(self) -> str:
        """A readable listing: descriptors with their fields that are not zero, then tensors."""
        lines = [
            f"; {self.name}, {self.tokens} tokens, default K {self.default_k}, {self.classes} classes",
            f"; core {self.config.name}: {len(self.descriptors)} of {self.config.layers} descriptors, "
            f"{len(self.weights)} of {self.config.weight_rows} weight rows, "
            f"{max(place.base + place.lines for place in self.tensors.values())} of "
            f"{self.config.spike_lines} spike lines",
        ]
        for index, (word, node) in enumerate(zip(self.descriptors, self.nodes, strict=True)):
            values = decode(word)
            op = Op(values.pop("op"))
            fields = " ".join(f"{k}={v}" for k, v in values.items() if v and k != "id")
            lines.append(f"{index:3}  {op.name:<7} {fields}".rstrip() + f"  ; {node}")
        for place in self.tensors.values():
            shape = "x".join(map(str, place.shape))
            where = f"lines {place.base}..{place.base + place.lines - 1}, pitch {place.pitch}, "
            where += f"{place.steps} planes in {place.groups} lines"
            detail = f" {where}" if place.memory is Memory.SPIKES else ""
            lines.append(
                f".tensor {place.name} {place.kind.value} {shape} {place.type} {place.memory.value}{detail}"
            )
        return "\n".join(lines) + "\n"


def _read_image(path: Path, rows: int) -> list[int]:
    """Rows of a ``$readmemh`` file."""
    try:
        image = [int(line, 16) for line in read_bytes(path, "a memory image").decode().split()]
    except ValueError as error:
        raise InputFileError(f"{path}: not a memory image: {error}") from error
    if len(image) != rows:
        raise InputFileError(f"{path}: has {len(image)} rows, the program {rows}; compile the model again")
    return image
