"""Co-simulation: every element of every layer of the Verilated core against what was expected."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparta_hw.errors import ConfigError, MismatchError
from sparta_hw.ir import Kind
from sparta_hw.program import Program
from sparta_hw.tensor_layout import Memory, TensorLayout
from sparta_hw.vectors import of_ranks
from sparta_rtl.host import LoadTarget
from sparta_sim.compare import Mismatch, first_mismatch
from sparta_sim.cycles.stream import IDEAL_MEMORY, MemoryTiming
from sparta_sim.simulation import DEFAULT_MAX_CYCLES, CoreSimulation, Inferences
from sparta_sim.tensor_map import Produced, produced_tensors
from sparta_sim.trace import Trace, Traced, trace_tensor

__all__ = ["CosimResult", "ProgramSimulation", "run_cosim", "with_selected"]

BATCH = 64
"""Samples of one call into the simulator: bounds the memory that trace events take."""


class ProgramSimulation(CoreSimulation):
    """A simulated core with a program loaded.

    Parameters
    ----------
    program : Program
        Loaded through the registers, as a host does.
    verilog, wave, coverage, seed
        See :class:`~sparta_sim.simulation.CoreSimulation`.
    """

    def __init__(
        self,
        program: Program,
        *,
        verilog: str | None = None,
        wave: Path | None = None,
        coverage: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(program.config, verilog=verilog, wave=wave, coverage=coverage, seed=seed)
        self.switch(program)

    def switch(self, program: Program) -> None:
        """Load another program: the core runs every network that fits its configuration.

        Raises
        ------
        ConfigError
            The program was built for another core.
        """
        program.check_core(self.config)
        self.program = program
        for name, (rows, bits) in program.images().items():
            self.load(LoadTarget[name.upper()], _words(rows, bits))
        if program.config.stream_bits:
            self.stream(program.weights)

    def infer(
        self,
        spikes: NDArray,
        *,
        k: int | None = None,
        stalls: float = 0.0,
        memory: MemoryTiming = IDEAL_MEMORY,
        record: bool = True,
        reset_state: bool = True,
        max_cycles: int = DEFAULT_MAX_CYCLES,
        progress: Callable[[], object] | None = None,
    ) -> Inferences:
        """Run samples, (samples, T, C, H, W) or pixels (samples, C, H, W); see :meth:`CoreSimulation.run`."""
        return self.run(
            np.stack([self.program.pack_input(sample) for sample in spikes]),
            k=self.program.default_k if k is None else k,
            logits=self.program.classes,
            layers=len(self.program.descriptors) - 1,
            stalls=stalls,
            memory=memory,
            record=record,
            reset_state=reset_state,
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
        Tokens that were to attend; 0: each sample's own.
    topk : int array (samples,)
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
    layer_cycles, layer_entries, layer_stalls : int array (samples, descriptors)
        Measured, counter registers; stalls are the cycles of those in which a layer waited for streamed weights.
    nodes : tuple of str
        The ONNX node behind each descriptor.
    """

    k: int
    topk: NDArray[np.int64]
    samples: int
    mismatches: int
    first: Mismatch | None
    compared: Mapping[str, int]
    logits: NDArray[np.int64]
    cycles: NDArray[np.int64]
    layer_cycles: NDArray[np.int64]
    layer_entries: NDArray[np.int64]
    layer_stalls: NDArray[np.int64]
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
    memory: MemoryTiming = IDEAL_MEMORY,
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
        Integers of every tensor at this ``k``, ``k`` (samples,) itself among them where it is dynamic; others
        (cues of one scale, gains) are ignored. With feedback the samples are one stream from state 0.
    k : int, optional
        Tokens that attend, or 0 for each sample's own; the program's default if not given.
    simulation : ProgramSimulation, optional
        To use instead of a new one, with ``program`` loaded.
    stalls : float
        Probability that a stream pauses in a cycle.
    memory : MemoryTiming
        Of streamed weights.
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
    tensors = [
        item for item in produced_tensors(program) if k == 0 or item.layout.memory is not Memory.DYNAMIC_K
    ]
    expected = with_selected(expected)
    missing = [item.layout.name for item in tensors if item.layout.name not in expected]
    if missing:
        raise ConfigError(f"expected values lack the tensor {missing[0]!r}, which the core produces")
    topk = np.asarray(expected["k"]) if k == 0 else np.full(len(inputs), k)
    simulation_ = simulation or ProgramSimulation(program)
    try:
        runs, different, first = [], 0, None
        compared = dict.fromkeys((item.layout.name for item in tensors), 0)
        for start in range(0, len(inputs), BATCH):
            run = simulation_.infer(
                inputs[start : start + BATCH],
                k=k,
                stalls=stalls,
                memory=memory,
                reset_state=start == 0,
                max_cycles=max_cycles,
                progress=progress,
            )
            if run.clamped.any():
                raise ConfigError(f"{program.name}: the core clamped K = {k}: use 1 to {program.tokens}")
            for offset in range(len(run.cycles)):
                sample = start + offset
                answers = _Answers(program, run, offset, int(topk[sample]))
                found = None
                for item in tensors:
                    wanted = answers.wanted(item.layout, expected[item.layout.name][sample])
                    compared[item.layout.name] += wanted.size
                    found = found or answers.difference(item, wanted, sample)
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
        topk=topk[: len(inputs)],
        samples=len(inputs),
        mismatches=different,
        first=first,
        compared=compared,
        logits=all_of("logits"),
        cycles=all_of("cycles"),
        layer_cycles=all_of("layer_cycles"),
        layer_entries=all_of("layer_entries"),
        layer_stalls=all_of("layer_stalls"),
        nodes=program.nodes[:-1],
    )


def with_selected(expected: Mapping[str, NDArray]) -> Mapping[str, NDArray]:
    """Expected values with the gathered tokens, which vectors leave out."""
    if "selected" in expected or "tokens" not in expected:
        return expected
    index = np.asarray(expected["index" if "index" in expected else "winners"]).astype(np.int64)
    tokens = np.asarray(expected["tokens"])
    return {**expected, "selected": np.take_along_axis(tokens, index[:, :, None], axis=1)}


class _Answers:
    """What the core produced for one sample, at its K."""

    def __init__(self, program: Program, run: Inferences, offset: int, k: int) -> None:
        self._run, self._offset, self._k = run, offset, k
        self._trace = Trace(program.config, run.sample_events(offset), run.mask_words)

    def wanted(self, layout: TensorLayout, values: NDArray) -> NDArray:
        """Expected values of this sample's own ranks."""
        values = np.asarray(values).reshape(-1) if layout.memory is Memory.STATE else np.asarray(values)
        return values[: self._k] if of_ranks(layout.name) else values

    def difference(self, item: Produced, wanted: NDArray, sample: int) -> Mismatch | None:
        """The first one of a tensor."""
        return first_mismatch(
            wanted,
            self._traced(item.layout),
            sample=sample,
            tensor=item.layout.name,
            node=item.node,
            stepped=item.layout.kind is Kind.SPIKES,
        )

    def _traced(self, layout: TensorLayout) -> Traced:
        if layout.memory in (Memory.RESULTS, Memory.STATE):
            answers = self._run.logits if layout.memory is Memory.RESULTS else self._run.states[:, None]
            values = answers[self._offset].astype(np.int64)
            return Traced(values, np.ones(values.shape, bool))
        traced = trace_tensor(self._trace, layout, self._k)
        if layout.memory is Memory.SPIKES and of_ranks(layout.name):
            return replace(traced, values=traced.values[: self._k], written=traced.written[: self._k])
        return traced
