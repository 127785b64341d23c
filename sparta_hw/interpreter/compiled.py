"""Loops over integers, compiled by Numba; the machine code is kept on disk, so only a first run waits for it."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

__all__ = ["compiled"]

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """``function`` as machine code; in memory only, where neither the package nor the user's cache can be written.

    What is on disk is used until the function's file changes. Values from other files must therefore be arguments.
    """
    try:
        return cast(F, njit(cache=True)(function))
    except RuntimeError:
        return cast(F, njit(function))
