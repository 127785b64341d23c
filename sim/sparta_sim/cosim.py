"""Co-simulation: every element of every layer of the Verilated core against what was expected."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparta_hw.errors import ConfigError, MismatchError
from sparta_hw.ir import Kind
from sparta_hw.program import Program
from sparta_hw.tensor_layout import Memory
from sparta_rtl.host import LoadTarget
from sparta_sim.compare import Mismatch, first_mismatch
from sparta_sim.simulation import DEFAULT_MAX_CYCLES, CoreSimulation, Inferences
from sparta_sim.tensor_map import Produced, produced_tensors
from sparta_sim.trace import Trace, Traced, trace_tensor

__all__ = ["CosimResult", "ProgramSimulation", "run_cosim"]

BATCH = 64
"""Samples of one call into the simulator: bounds the memory that trace events take."""


class ProgramSimulation(CoreSimulation):
    """A simulated core with a program loaded.

    Parameters
    ----------
    program : Program
        Loaded through the registers, as a host does.
    verilog, wave, seed
        See :class:`~sparta_sim.simulation.CoreSimulation`.
    """

    def __init__(
        self, program: Program, *, verilog: str | None = None, wave: Path | None = None, seed: int = 0
    ) -> None:
        super().__init__(program.config, verilog=verilog, wave=wave, seed=seed)
        self.program = program
        row_bits = program.config.lanes * program.config.weight_bits
        self.load(LoadTarget.PROGRAM, _words(program.descriptors, 512))
        self.load(LoadTarget.WEIGHTS, _words(program.weight_rows(), row_bits))
        self.load(LoadTarget.TABLES, _words(program.table_rows(), 64))

    def infer(
        self,
        spikes: NDArray,
        *,
        k: int | None = None,
        stalls: float = 0.0,
        record: bool = True,
        max_cycles: int = DEFAULT_MAX_CYCLES,
        progress: Callable[[], object] | None = None,
    ) -> Inferences:
        """Run samples, (samples, T, C, H, W) zeros and ones; see :meth:`CoreSimulation.run`."""
        return self.run(
            np.stack([self.program.pack_input(sample) for sample in spikes]),
            k=self.program.default_k if k is None else k,
            logits=self.program.classes,
            layers=len(self.program.descriptors) - 1,
            stalls=stalls,
            record=record,
            max_cycles=max_cycles,
            progress=progress,
        )


def _words(rows: Sequence[int], bits: int) -> NDArray[np.uint32]:
    size = -(-bits // 32) * 4
    return np.frombuffer(b"".join(row.to_bytes(size, "little") for row in rows), "<u4").astype(np.uint32)


@dataclass(frozen=True)
class CosimResult:
    """Outcome of one co-simulation.

    Parameters
    ----------
    k : int
        Tokens that attended.
    samples : int
        Inferences that ran.
    mismatches : int
        Samples in which anything differed.
    first : Mismatch or None
        First difference, in order of samples and layers.
    compared : mapping of str to int
        Elements compared, by tensor.
    logits : int array (samples, classes)
        As the hardware sent them.
    cycles : int array (samples,)
        Measured, register CYCLES.
    layer_cycles, layer_entries : int array (samples, descriptors)
        Measured, counter registers.
    nodes : tuple of str
        The ONNX node behind each descriptor.
    """

    k: int
    samples: int
    mismatches: int
    first: Mismatch | None
    compared: Mapping[str, int]
    logits: NDArray[np.int64]
    cycles: NDArray[np.int64]
    layer_cycles: NDArray[np.int64]
    layer_entries: NDArray[np.int64]
    nodes: tuple[str, ...]

    def check(self) -> None:
        """Fail unless everything agreed.

        Raises
        ------
        MismatchError
            Names the first divergence: sample, layer, index, step, expected and actual value.
        """
        if self.first:
            raise MismatchError(
                f"{self.first}; {self.mismatches} of {self.samples} samples differ at K = {self.k}"
            )


def run_cosim(
    program: Program,
    inputs: NDArray,
    expected: Mapping[str, NDArray],
    k: int | None = None,
    *,
    simulation: ProgramSimulation | None = None,
    stalls: float = 0.0,
    max_cycles: int = DEFAULT_MAX_CYCLES,
    progress: Callable[[], object] | None = None,
) -> CosimResult:
    """Run samples on the Verilated core and compare every tensor that it produces.

    Parameters
    ----------
    program : Program
        The network.
    inputs : array (samples, T, C, H, W)
        Zeros and ones.
    expected : mapping of str to int array (samples, *shape)
        Integers of every tensor at this ``k``; others (cues, gathered tokens) are ignored.
    k : int, optional
        Tokens that attend; the program's default if not given.
    simulation : ProgramSimulation, optional
        To use instead of a new one, with ``program`` loaded.
    stalls : float
        Probability that a stream pauses in a cycle.
    max_cycles : int
        Limit of one inference.
    progress : callable, optional
        Called after each sample.

    Raises
    ------
    SpartaError
        The core did not finish in time, sent a wrong number of results, or clamped ``k``.
    ConfigError
        ``expected`` lacks a tensor that the core produces.
    """
    k = program.default_k if k is None else k
    tensors = produced_tensors(program)
    missing = [item.layout.name for item in tensors if item.layout.name not in expected]
    if missing:
        raise ConfigError(f"expected values lack the tensor {missing[0]!r}, which the core produces")
    simulation_ = simulation or ProgramSimulation(program)
    try:
        runs, different, first = [], 0, None
        for start in range(0, len(inputs), BATCH):
            run = simulation_.infer(
                inputs[start : start + BATCH], k=k, stalls=stalls, max_cycles=max_cycles, progress=progress
            )
            if run.clamped.any():
                raise ConfigError(f"{program.name}: the core clamped K = {k}: use 1 to {program.tokens}")
            for offset in range(len(run.cycles)):
                found = next(_differences(program, tensors, run, offset, start + offset, expected, k), None)
                different += found is not None
                first = first or found
            runs.append(run)
    finally:
        if simulation is None:
            simulation_.close()

    def all_of(name: str) -> NDArray[np.int64]:
        return np.concatenate([getattr(run, name) for run in runs]).astype(np.int64)

    return CosimResult(
        k=k,
        samples=len(inputs),
        mismatches=different,
        first=first,
        compared={
            item.layout.name: int(np.size(expected[item.layout.name][: len(inputs)])) for item in tensors
        },
        logits=all_of("logits"),
        cycles=all_of("cycles"),
        layer_cycles=all_of("layer_cycles"),
        layer_entries=all_of("layer_entries"),
        nodes=program.nodes[:-1],
    )


def _differences(
    program: Program,
    tensors: Sequence[Produced],
    run: Inferences,
    offset: int,
    sample: int,
    expected: Mapping[str, NDArray],
    k: int,
) -> Iterator[Mismatch]:
    """First difference of each tensor of one sample, in the order in which the core produces them."""
    trace = Trace(program.config, run.sample_events(offset), run.mask_words)
    for item in tensors:
        layout = item.layout
        if layout.memory is Memory.RESULTS:
            logits = run.logits[offset].astype(np.int64)
            traced = Traced(logits, np.ones(logits.shape, bool))
        else:
            traced = trace_tensor(trace, layout, item.descriptor, k)
        found = first_mismatch(
            np.asarray(expected[layout.name][sample]),
            traced,
            sample=sample,
            tensor=layout.name,
            node=item.node,
            stepped=layout.kind is Kind.SPIKES,
        )
        if found:
            yield found
