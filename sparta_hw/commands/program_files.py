"""Reading what the steps before left: programs, configurations, test vectors."""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig, load_config
from sparta_hw.errors import ConfigError, InputFileError
from sparta_hw.files import read_bytes
from sparta_hw.interpreter import run_stream
from sparta_hw.ir import Graph, Kind
from sparta_hw.program import Program
from sparta_hw.vectors import Vectors, load_vectors

__all__ = ["config_of", "read_text", "stimuli"]


def config_of(source: str) -> CoreConfig:
    """The core of a ``program.bin``, or a configuration by name or JSON file."""
    return Program.load(source).config if Path(source).suffix == ".bin" else load_config(source)


def read_text(path: Path, what: str) -> str:
    """A text file.

    Raises
    ------
    InputFileError
        It is missing or not text.
    """
    try:
        return read_bytes(path, what).decode()
    except UnicodeDecodeError as error:
        raise InputFileError(f"{path}: not {what}: it is not text") from error


def stimuli(graph: Graph, options: argparse.Namespace) -> list[Vectors]:
    """The vectors named on the command line, or random ones with the interpreter's answers.

    Raises
    ------
    ConfigError
        Neither or both were asked for, a value is out of range, or vectors belong to another network.
    """
    if bool(options.vectors) == bool(options.random):
        raise ConfigError("give test vectors (--vectors FILE ...) or draw random ones (--random N)")
    if options.vectors:
        found = [load_vectors(path) for path in options.vectors]
        for path, vectors in zip(options.vectors, found, strict=True):
            if vectors.input.shape[1:] != graph.input.shape:
                raise ConfigError(
                    f"{path}: samples have shape {vectors.input.shape[1:]}, {graph.name} takes"
                    f" {graph.input.shape}: export the vectors again with the model"
                )
        return sorted(found, key=lambda vectors: -int(vectors.k.max(initial=0)))
    if not 0 <= options.density <= 1:
        raise ConfigError(f"--density is a rate from 0 to 1, not {options.density}")
    for k in options.k or []:
        if k > graph.tokens:
            raise ConfigError(f"-k {k}: {graph.name} has {graph.tokens} tokens: use 1 to {graph.tokens}")
    inputs = _random_inputs(graph, options)
    return [_interpreted(graph, inputs, k) for k in options.k or [graph.default_k]]


def _random_inputs(graph: Graph, options: argparse.Namespace) -> NDArray[np.uint8]:
    """Spikes of the wanted density, or pixels of all values."""
    rng = np.random.default_rng(options.seed)
    shape = (options.random, *graph.input.shape)
    if graph.input.kind is Kind.INTEGERS:
        return rng.integers(0, graph.input.type.max + 1, shape, np.uint8)
    return (rng.random(shape) < options.density).astype(np.uint8)


def _interpreted(graph: Graph, inputs: NDArray[np.uint8], request: int) -> Vectors:
    tensors = run_stream(graph, inputs, request)
    labels = np.zeros(len(inputs), np.int64)
    return Vectors(input=inputs, labels=labels, request=request, k=tensors.pop("k"), tensors=tensors)
