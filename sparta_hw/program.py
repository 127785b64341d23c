"""The compiled program: the only thing that passes from the compiler to the core."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import DESCRIPTOR_BITS, Destination, Op, RankBy, decode, encode
from sparta_hw.errors import ConfigError, InputFileError
from sparta_hw.files import read_bytes, read_sections, write_atomic, write_sections, write_text
from sparta_hw.tensor_layout import Memory, TensorLayout

__all__ = ["Program"]

_MAGIC = b"SPARTAHW"
_VERSION = 4
_STREAM_FILE = "weights.bin"
_WHAT = "a compiled sparta_hw program"
_NAMES: Mapping[str, type[IntEnum]] = {"destination": Destination, "by": RankBy}
_TABLE_MASK = (1 << CoreConfig.table_bits) - 1
_TABLE_SIGN = 1 << CoreConfig.table_bits - 1


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
        Rows of the weight memory, or of the image that is streamed into it, lane 0 first, the lowest ``weight_bits`` of
        each byte.
    score_tables : int array (scales, 2, 4, T * 8 + 1)
        MSP and temporal tables of first, interval, burst, rate; s11.4.
    factors : int array (256,)
        Rows of 32 bits: timing, temperature and K tables (ARCHITECTURE.md, "Memories").
    mlp : int array (24,)
        Rows of 64 bits: eight hidden units of each of the three token MLPs.
    tensors : mapping of str to TensorLayout
        All tensors that the core writes, and its input.
    input_name : str
        The input among ``tensors``; it starts at line 0.
    tokens, classes, default_k : int
        N (0 for a network without), number of logits, and K when the user does not give one (0: each sample's own).
    """

    name: str
    config: CoreConfig
    descriptors: tuple[int, ...]
    nodes: tuple[str, ...]
    weights: NDArray[np.uint8]
    score_tables: NDArray[np.int64]
    factors: NDArray[np.int64]
    mlp: NDArray[np.int64]
    tensors: Mapping[str, TensorLayout]
    input_name: str
    tokens: int
    classes: int
    default_k: int

    @property
    def input(self) -> TensorLayout:
        """Layout of the network's input; shape (T, C, H, W), or (C, H, W) of pixels."""
        return self.tensors[self.input_name]

    @property
    def grid_tokens(self) -> int:
        """Positions of the token grid."""
        return next(place.shape[0] for place in self.tensors.values() if place.memory is Memory.MSP)

    @property
    def dynamic(self) -> bool:
        """Whether the network can choose K itself."""
        return any(layout.memory is Memory.DYNAMIC_K for layout in self.tensors.values())

    @property
    def feedback(self) -> bool:
        """Whether an inference leaves a state for the next one."""
        return any(layout.memory is Memory.STATE for layout in self.tensors.values())

    def dense(self) -> "Program":
        """The same network without skipping: every entry takes a cycle, spike or not. Results do not change."""
        words = []
        for word, node in zip(self.descriptors, self.nodes, strict=True):
            fields = decode(word)
            op = Op(fields.pop("op"))
            words.append(encode(op, node, **fields | {"dense": 1}) if op is Op.LAYER else word)
        return replace(self, descriptors=tuple(words))

    def pack_input(self, spikes: NDArray[Any]) -> NDArray[np.uint32]:
        """Words for the core's input stream: the lines of the input, ceil(L * S / 32) words each.

        Parameters
        ----------
        spikes : int array (T, C, H, W), or (C, H, W)
            Zeros and ones, or pixels 0 to 255.

        Raises
        ------
        InputFileError
            The shape is another one, or a value does not belong there.
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
            "scales": len(self.score_tables),
            "cues": self.score_tables.shape[-1],
        }
        size = DESCRIPTOR_BITS // 8
        sections = {
            "meta": json.dumps(meta).encode(),
            "code": b"".join(word.to_bytes(size, "little") for word in self.descriptors),
            "wght": np.ascontiguousarray(self.weights, np.uint8).tobytes(),
            "tabl": np.ascontiguousarray(self.score_tables, "<i2").tobytes(),
            "fact": np.ascontiguousarray(self.factors, "<i8").tobytes(),
            "mlps": np.ascontiguousarray(self.mlp, "<i8").tobytes(),
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
                score_tables=np.frombuffer(sections["tabl"], "<i2")
                .reshape(meta["scales"], 2, 4, meta["cues"])
                .astype(np.int64),
                factors=np.frombuffer(sections["fact"], "<i8").astype(np.int64),
                mlp=np.frombuffer(sections["mlps"], "<i8").astype(np.int64),
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

    def score_rows(self) -> list[int]:
        """Rows of the score table memory, 4 x (MSP, temporal) x 16 bits, first lowest.

        A scale takes as many rows as the core's longest table has entries.
        """
        pitch = self.config.silent_cue + 1
        rows = [0] * (len(self.score_tables) * pitch)
        for scale, tables in enumerate(self.score_tables):
            for cue, entries in enumerate(tables.transpose(2, 1, 0).reshape(tables.shape[2], -1)):
                rows[scale * pitch + cue] = sum(
                    (int(entry) & _TABLE_MASK) << 16 * n for n, entry in enumerate(entries)
                )
        return rows

    def mlp_rows(self) -> list[int]:
        """Rows of the MLP memory, 64 bits."""
        return [int(row) for row in self.mlp]

    def factor_rows(self) -> list[int]:
        """Rows of the factor tables, 32 bits."""
        return [int(row) for row in self.factors]

    def weight_rows(self) -> list[int]:
        """Rows of the weight memory: P x ``weight_bits`` bits, lane 0 lowest."""
        bits = np.unpackbits(
            self.weights[:, :, None], axis=2, bitorder="little", count=self.config.weight_bits
        )
        packed = np.packbits(bits.reshape(len(bits), -1), axis=1, bitorder="little")
        return [int.from_bytes(row.tobytes(), "little") for row in packed]

    def images(self) -> dict[str, tuple[list[int], int]]:
        """Rows, and bits of a row, of every memory that a host loads, by name; streamed weights are not among them."""
        config = self.config
        images = {"program": (list(self.descriptors), DESCRIPTOR_BITS)}
        if not config.stream_bits:
            images["weights"] = (self.weight_rows(), config.lanes * config.weight_bits)
        if not config.attention:
            return images
        return images | {
            "scores": (self.score_rows(), 128),
            "factors": (self.factor_rows(), 32),
            "mlp": (self.mlp_rows(), 64),
        }

    def write_images(self, directory: str | Path) -> None:
        """Write a ``.mem`` file for ``$readmemh`` for each of :meth:`images`, one row a line.

        Streamed weights become ``weights.bin``: bytes as they lie in external memory, row after row, lane 0 first.
        """
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        for name, (rows, bits) in self.images().items():
            write_text(folder / f"{name}.mem", "".join(f"{row:0{-(-bits // 4)}x}\n" for row in rows))
        if self.config.stream_bits:
            write_atomic(folder / _STREAM_FILE, self.weights.tobytes())

    def read_images(self, directory: str | Path) -> "Program":
        """The same program with the memory contents of a folder of :meth:`write_images`.

        Raises
        ------
        InputFileError
            An image is missing, or has another size.
        """
        folder = Path(directory)
        found = {
            name: _read_image(folder / f"{name}.mem", len(rows)) for name, (rows, _) in self.images().items()
        }
        if self.config.stream_bits:
            image = _read_stream(folder / _STREAM_FILE, self.weights.size)
            weights = np.frombuffer(image, np.uint8).reshape(self.weights.shape)
        else:
            weights = _weights(found["weights"], self.config)
        own = replace(self, descriptors=tuple(found["program"]), weights=weights)
        if not self.config.attention:
            return own
        tables = np.zeros_like(self.score_tables)
        pitch = self.config.silent_cue + 1
        for scale in range(len(tables)):
            for cue in range(tables.shape[-1]):
                row = found["scores"][scale * pitch + cue]
                words = np.array([row >> 16 * n & 0xFFFF for n in range(8)])
                signed = (words ^ _TABLE_SIGN) - _TABLE_SIGN
                tables[scale, :, :, cue] = signed.reshape(4, 2).T
        return replace(
            own,
            score_tables=tables,
            factors=np.array(found["factors"], np.int64),
            mlp=np.array(found["mlp"], np.int64),
        )

    def _tokens(self) -> str:
        return (
            f"{self.tokens} tokens, default K {self.default_k or 'dynamic'}" if self.tokens else "no tokens"
        )

    def to_text(self) -> str:
        """A readable listing: descriptors with their fields that are not zero, then tensors."""
        weights = f"{len(self.weights)} of {self.config.weight_rows} weight rows"
        if self.config.stream_bits:
            weights = f"{len(self.weights)} weight rows streamed through {self.config.weight_rows}"
        lines = [
            f"; {self.name}, {self._tokens()}, {self.classes} classes",
            f"; core {self.config.name}: {len(self.descriptors)} of {self.config.layers} descriptors, "
            f"{weights}, "
            f"{max(place.base + place.lines for place in self.tensors.values())} of "
            f"{self.config.spike_lines} spike lines",
        ]
        for index, (word, node) in enumerate(zip(self.descriptors, self.nodes, strict=True)):
            values = decode(word)
            op = Op(values.pop("op"))
            fields = " ".join(
                f"{name}={_NAMES[name](value).name if name in _NAMES else value}"
                for name, value in values.items()
                if name != "id" and (value or name in _NAMES)
            )
            lines.append(f"{index:3}  {op.name:<7} {fields}".rstrip() + f"  ; {node}")
        for place in self.tensors.values():
            shape = "x".join(map(str, place.shape))
            where = f"lines {place.base}..{place.base + place.lines - 1}, pitch {place.pitch}, "
            where += f"{place.steps} planes in {place.groups} lines"
            detail = f" {where}" if place.memory is Memory.SPIKES else ""
            if place.descriptors:
                detail += f", by {' '.join(map(str, place.descriptors))}"
            lines.append(
                f".tensor {place.name} {place.kind.value} {shape} {place.type} {place.memory.value}{detail}"
            )
        return "\n".join(lines) + "\n"


def _weights(rows: list[int], config: CoreConfig) -> NDArray[np.uint8]:
    """The inverse of :meth:`Program.weight_rows`."""
    size = -(-config.lanes * config.weight_bits // 8)
    packed = np.frombuffer(b"".join(row.to_bytes(size, "little") for row in rows), np.uint8)
    bits = np.unpackbits(
        packed.reshape(len(rows), size), axis=1, bitorder="little", count=config.lanes * config.weight_bits
    )
    return np.packbits(bits.reshape(len(rows), config.lanes, -1), axis=2, bitorder="little")[:, :, 0]


def _read_image(path: Path, rows: int) -> list[int]:
    """Rows of a ``$readmemh`` file."""
    try:
        image = [int(line, 16) for line in read_bytes(path, "a memory image").decode().split()]
    except ValueError as error:
        raise InputFileError(f"{path}: not a memory image: {error}") from error
    if len(image) != rows:
        raise InputFileError(f"{path}: has {len(image)} rows, the program {rows}; compile the model again")
    return image


def _read_stream(path: Path, size: int) -> bytes:
    """Bytes of streamed weights."""
    image = read_bytes(path, "an image of streamed weights")
    if len(image) != size:
        raise InputFileError(f"{path}: has {len(image)} bytes, the program {size}; compile the model again")
    return image
