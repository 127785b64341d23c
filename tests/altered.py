"""Modules with one place changed: what the tests of the project must notice."""

import inspect
import sys
from types import ModuleType
from typing import Any, TypeVar

Unit = TypeVar("Unit")


def altered(module: ModuleType, old: str, new: str) -> dict[str, Any]:
    """Names of the module, made from its source with ``new`` for ``old``, which is in it once."""
    source = inspect.getsource(module)
    assert source.count(old) == 1
    names: dict[str, Any] = {"__name__": module.__name__}
    exec(compile(source.replace(old, new), f"altered {module.__name__}", "exec"), names)
    return names


def altered_unit(unit: type[Unit], old: str, new: str) -> type[Unit]:
    """The unit, from its module made by :func:`altered`."""
    return altered(sys.modules[unit.__module__], old, new)[unit.__name__]
