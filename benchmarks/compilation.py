"""Seconds and memory from the paper network's ONNX file to program and Verilog, by the commands that a user runs."""

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cycles import untrained_network_of
from sparta_quant.export import export_onnx
from sparta_sim.limits import Ratio

__all__ = ["compilation_ratios"]

_SECONDS, _GIGABYTES = 60.0, 3.0


def compilation_ratios() -> Iterator[Ratio]:
    """``compile`` and ``rtl`` against a minute and 3 GB."""
    command = (sys.executable, "-m", "sparta_hw.cli")
    with TemporaryDirectory() as scratch:
        model, program = Path(scratch) / "model.onnx", Path(scratch) / "program.bin"
        network, _ = untrained_network_of("paper", 2)
        export_onnx(network, model)
        start = time.perf_counter()
        for arguments in (("compile", model, "--core", "paper"), ("rtl", program)):
            subprocess.run(
                [*command, *arguments, "-o", scratch], check=True, stdout=subprocess.DEVNULL
            )  # fmt: skip
        seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    what = "paper: ONNX to program and Verilog"
    yield Ratio(what, seconds, _SECONDS, "s", 1.0, exact=False)
    yield Ratio(f"{what}, peak memory", memory, _GIGABYTES, "GB", 1.0, exact=False)
