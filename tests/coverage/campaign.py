"""Everything a host can do to the smallest named core, in one simulation: the runs whose coverage is counted.

And to the same core with streamed weights, whose memory is near, far, slow, and fails.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_hw.errors import SpartaError
from sparta_hw.onnx_import import import_model
from sparta_hw.passes import compile_model
from sparta_hw.program import Program
from sparta_quant.export import export_onnx
from sparta_quant.random_network import random_network, random_spikes
from sparta_rtl.host import Register
from sparta_sim.cosim import ProgramSimulation
from sparta_sim.coverage import Coverage, read_coverage
from sparta_sim.cycles.stream import MemoryTiming

CORE = NAMED_CONFIGS["tiny"]
STREAMING = replace(CORE, name="tiny-stream", stream_bits=32, weight_rows=1024)
NETWORKS = {CORE: 40, STREAMING: 12}
"""Random networks on each core; on the second one it is the stream that counts."""
OF_THE_STREAM = re.compile(r"sparta_core(\.array|\.host|\.weight_memory.*)?")
"""Modules that streamed weights change; the others are as on the first core, whose runs are the longer ones."""
INTERRUPTED = 8
"""Networks whose inferences are also cut short."""
STALLS = (0.0, 0.25, 0.95)
MEMORIES = (MemoryTiming(), MemoryTiming(latency=9000), MemoryTiming(latency=1, stalls=0.95))


def cover(
    core: CoreConfig,
    verilog: str,
    folder: Path,
    networks: int | None = None,
    progress: Callable[[], object] = int,
) -> Coverage:
    """Run random networks with all parts, stalls, every kind of K and input, interruptions and register accesses."""
    simulation: ProgramSimulation | None = None
    for seed in range(NETWORKS[core] if networks is None else networks):
        network = random_network(seed)
        export_onnx(network, folder / "model.onnx")
        program = compile_model(import_model(folder / "model.onnx"), core)
        simulation = simulation or ProgramSimulation(program, verilog=verilog, coverage=True)
        simulation.switch(program)
        samples = random_spikes(network.config, 3, seed)
        samples[1], samples[2] = 0, samples.max()
        for n, k in enumerate((program.default_k, 1, program.tokens)):
            memory, stalls = MEMORIES[(seed + n) % len(MEMORIES)], STALLS[(seed + n) % len(STALLS)]
            simulation.infer(samples, k=k, stalls=stalls, memory=memory, record=False)
        if seed < INTERRUPTED:
            _interrupt(simulation, program, samples, np.random.default_rng(seed))
        progress()
    assert simulation is not None
    if core.stream_bits:
        _fail(simulation, program, samples)
    _access_registers(simulation)
    path = folder / "coverage.dat"
    simulation.write_coverage(path)
    simulation.close()
    return read_coverage(path, verilog)


def _interrupt(
    simulation: ProgramSimulation, program: Program, samples: np.ndarray, rng: np.random.Generator
) -> None:
    """By reset and by abort, anywhere in an inference; and a K beyond the tokens, which the core clamps."""
    spikes = program.pack_input(samples[0])
    whole = int(simulation.infer(samples[:1], record=False).cycles[0])
    for n, cycles in enumerate(rng.integers(0, whole, 10)):
        simulation.interrupt(spikes, k=program.default_k, cycles=int(cycles), reset=bool(n % 2))
    simulation.infer(samples[:1], k=2 * program.tokens, record=False)


def _fail(simulation: ProgramSimulation, program: Program, samples: np.ndarray) -> None:
    """The memory answers with an error: the inference ends, and only another image makes the core run again."""
    simulation.switch(program)
    simulation.spoil(len(program.weights) // 2)
    for _ in range(2):
        with suppress(SpartaError):
            simulation.infer(samples[:1], memory=MEMORIES[-1], record=False)
    for address in (0x5555_5000, 0xAAAA_A000):
        simulation.switch(program)
        simulation.stream(program.weights, address)
        simulation.infer(samples[:1], record=False)


def _access_registers(simulation: ProgramSimulation) -> None:
    """Read and write each, an address without one too; feedback's state is written as a host restores it."""
    for value in (-1, 0):
        simulation.write(Register.STATE, value)
        simulation.write(Register.K, value)
    for address in (*Register, max(Register) + 4):
        simulation.read(address)
