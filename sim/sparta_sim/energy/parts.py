"""Parts of the core that spend energy, and what a unit reports."""

from collections.abc import Iterator
from enum import Enum

__all__ = ["Events", "Part"]


class Part(Enum):
    """Which part of the core spends the energy."""

    ARRAY = "array"
    FIRE = "fire"
    MEMORIES = "memories"
    SELECTION = "selection"
    ATTENTION = "attention"
    EXTERNAL = "external memory"


Events = Iterator[tuple[Part, str, int, float]]
"""Part, kind of event, how many, and pJ of one."""
