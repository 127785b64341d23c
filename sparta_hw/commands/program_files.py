"""Reading what the steps before left: programs, configurations, test vectors."""

import argparse
from pathlib import Path

import numpy as np

from sparta_hw.config import CoreConfig, load_config
from sparta_hw.errors import ConfigError, InputFileError
from sparta_hw.files import read_bytes
from sparta_hw.interpreter import run as interpret
from sparta_hw.ir import Graph
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
        return sorted(found, key=lambda vectors: -vectors.k)
    if not 0 <= options.density <= 1:
        raise ConfigError(f"--density is a rate from 0 to 1, not {options.density}")
    rng = np.random.default_rng(options.seed)
    spikes = (rng.random((options.random, *graph.input.shape)) < options.density).astype(np.uint8)
    labels = np.zeros(options.random, np.int64)
    for k in options.k or []:
        if k > graph.tokens:
            raise ConfigError(f"-k {k}: {graph.name} has {graph.tokens} tokens: use 1 to {graph.tokens}")
    return [Vectors(spikes, labels, k, interpret(graph, spikes, k)) for k in options.k or [graph.default_k]]
