"""Reading what the steps before left: programs, configurations, test vectors."""

from pathlib import Path

from sparta_hw.config import CoreConfig, load_config
from sparta_hw.program import Program

__all__ = ["config_of"]


def config_of(source: str) -> CoreConfig:
    """The core of a ``program.bin``, or a configuration by name or JSON file."""
    return Program.load(source).config if Path(source).suffix == ".bin" else load_config(source)
