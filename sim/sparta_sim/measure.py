"""Measurements and estimates of one network on one core, as sections of the report (docs/report.md)."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sparta_hw.descriptor import Op, decode
from sparta_hw.errors import MismatchError, SpartaError
from sparta_hw.interpreter import run_stream as interpret
from sparta_hw.ir import Graph, Kind
from sparta_hw.program import Program
from sparta_hw.vectors import Vectors, of_ranks
from sparta_sim.bandwidth import weight_bandwidth
from sparta_sim.core_tensors import core_tensors
from sparta_sim.cosim import CosimResult, ProgramSimulation, run_cosim
from sparta_sim.cycles.attention import attend_cycles
from sparta_sim.cycles.model import Prediction, predict
from sparta_sim.cycles.stream import IDEAL_MEMORY, MemoryTiming
from sparta_sim.energy import EnergyEstimate, estimate_energy
from sparta_sim.energy.figures import FIGURES
from sparta_sim.limits import descriptor_limits
from sparta_sim.synthesis import Synthesis

__all__ = ["check_interpreter", "fit_square", "measure_cosim", "measure_estimate", "synthesis_section"]

ATTENTION_POINTS = 6


def measure_cosim(
    simulation: ProgramSimulation,
    graph: Graph,
    runs: Sequence[Vectors],
    stalls: float = 0.0,
    memory: MemoryTiming = IDEAL_MEMORY,
) -> dict[str, Any]:
    """Section ``cosim``: every layer of the hardware against vectors, and its cycles against the model.

    Parameters
    ----------
    simulation : ProgramSimulation
        The core with its program.
    graph : Graph
        What the program was compiled from; the interpreter runs it as another witness.
    runs : sequence of Vectors
        One for each K.
    stalls : float
        Probability that a stream pauses; with stalls, cycles are measured but not compared.
    memory : MemoryTiming
        Of streamed weights; with its stalls, cycles are compared without those in which the core waits for weights.

    Raises
    ------
    MismatchError
        Hardware, interpreter and vectors disagree, or measured cycles are not the predicted ones.
    """
    program = simulation.program
    levels = []
    waited = False
    with tqdm(total=sum(len(run.input) for run in runs), desc="co-simulation", unit="sample") as bar:
        for run in runs:
            check_interpreter(graph, run)
            result = run_cosim(
                program,
                run.input,
                {**run.tensors, "k": run.k},
                run.request,
                simulation=simulation,
                stalls=stalls,
                memory=memory,
                progress=bar.update,
            )
            result.check()
            predictions = _predictions(program, run, None if memory.stalls else memory.latency)
            if not stalls:
                _check_cycles(program, result, predictions, memory)
            waited |= bool(result.layer_stalls.any())
            levels.append(_cosim_level(program, run, result, predictions))
    return {
        "network": _network(program),
        "core_key": simulation.core_key,
        "stalls": stalls,
        "memory": asdict(memory) if program.config.stream_bits else None,
        "samples": len(runs[0].input),
        "inferences": sum(level["samples"] for level in levels),
        "mismatches": sum(level["mismatches"] for level in levels),
        "elements_compared": sum(level["elements_compared"] for level in levels),
        "cycles_predicted_exactly": not (stalls or (memory.stalls and waited)),
        "runs": levels,
        "attention": _attention(simulation, runs[0].input[:1]),
    }


def measure_estimate(
    program: Program, runs: Sequence[Vectors], memory: MemoryTiming = IDEAL_MEMORY
) -> dict[str, Any]:
    """Section ``estimate``: cycles and energy from models alone, without a simulator.

    Parameters
    ----------
    program : Program
        The network on its core.
    runs : sequence of Vectors
        One for each K; their tensors say how active each layer is.
    memory : MemoryTiming
        Of streamed weights.
    """
    levels = []
    with tqdm(total=sum(len(run.input) for run in runs), desc="estimate", unit="sample") as bar:
        for run in runs:
            samples = _samples(program, run)
            energy = estimate_energy(program, samples, run.k.tolist(), progress=bar.update)
            predictions = _predictions(program, run, memory.latency)
            level = _estimate_level(program, run, energy, predictions)
            if program.config.stream_bits:
                level["weights"] = _weights(program, run, predictions, memory)
            levels.append(level)
    spikes = program.input_name
    rates = {spikes: float(np.mean(runs[0].input))} if program.input.kind is Kind.SPIKES else {}
    rates |= {
        name: float(values.mean())
        for name, values in runs[0].tensors.items()
        if name in program.tensors and program.tensors[name].kind is Kind.SPIKES
    }
    return {
        "network": _network(program),
        "spike_rates": rates,
        "runs": levels,
        "figures": {name: asdict(figure) for name, figure in FIGURES.items()},
    }


def synthesis_section(core: str, core_key: str, device: str, synthesis: Synthesis) -> dict[str, Any]:
    """Section ``synth``; ``core_key`` is that of the core's Verilog with trace outputs, which co-simulation takes."""
    resources, path = synthesis.resources, synthesis.path
    return {
        "core": core,
        "core_key": core_key,
        "device": device,
        "grade": synthesis.grade,
        **asdict(resources),
        "lut_eq": resources.lut_eq,
        "seeds": [{"seed": seed, "fmax_mhz": fmax} for seed, fmax in synthesis.fmax_of_seed.items()],
        "critical_path": {
            "logic_ns": path.logic_ns,
            "routing_ns": path.routing_ns,
            "steps": [asdict(step) for step in path.steps],
        },
    }


def fit_square(points: Sequence[tuple[int, float]]) -> dict[str, float]:
    """Least squares ``cycles = a K^2 + b K + c``, and the share of the variance that it explains (R^2).

    Raises
    ------
    SpartaError
        Fewer than four different K.
    """
    if len({k for k, _ in points}) < 4:
        raise SpartaError(f"a quadratic fit needs at least four values of K, not {len(points)}")
    k, cycles = np.array(points, dtype=np.float64).T
    a, b, c = np.polyfit(k, cycles, 2)
    residual = cycles - np.polyval((a, b, c), k)
    variance = float(((cycles - cycles.mean()) ** 2).sum())
    return {"a": float(a), "b": float(b), "c": float(c), "r2": 1 - float((residual**2).sum()) / variance}


def _network(program: Program) -> dict[str, Any]:
    return {
        "name": program.name,
        "core": asdict(program.config),
        "tokens": program.tokens,
        "classes": program.classes,
        "default_k": program.default_k,
        "input": list(program.input.shape),
    }


def _samples(program: Program, run: Vectors) -> list[dict[str, NDArray]]:
    """Each sample's tensors by name, as the core holds them, the input among them."""
    tensors = core_tensors(program.config, run.tensors, run.k) | {program.input_name: run.input}
    return [{name: values[n] for name, values in tensors.items()} for n in range(len(run.input))]


def _predictions(program: Program, run: Vectors, latency: int | None) -> list[Prediction]:
    samples = zip(_samples(program, run), run.k.tolist(), strict=True)
    return [predict(program, tensors, k, run.request, latency) for tensors, k in samples]


def _weights(
    program: Program, run: Vectors, predictions: Sequence[Prediction], memory: MemoryTiming
) -> dict[str, Any]:
    """Streamed weights: cycles waited for them, and what a memory must deliver so that there are none."""
    needs = [weight_bandwidth(program, one, memory.latency) for one in _predictions(program, run, None)]
    return {
        "latency": memory.latency,
        "stall_cycles_mean": float(np.mean([sum(prediction.layer_stalls) for prediction in predictions])),
        "port_bytes_per_cycle": program.config.stream_bits // 8,
        **asdict(max(needs, key=lambda need: need.needed)),
    }


def _sparsity(program: Program, run: Vectors) -> float:
    return float(100 * (1 - np.mean(run.k) / program.tokens)) if program.tokens else 0.0


def _layers(
    program: Program,
    run: Vectors,
    predictions: Sequence[Prediction],
    **columns: NDArray | Sequence[Sequence[float]],
) -> list[dict[str, Any]]:
    """One record a descriptor, means over the samples; ``columns`` has the active entries."""
    names = zip(program.nodes, program.descriptors, strict=True)
    heads = [(node, Op(decode(word)["op"]).name.lower()) for node, word in names][:-1]
    entries = np.asarray(columns["entries"], np.float64).tolist()
    copied = [prediction.layer_copied for prediction in predictions]
    limits = [
        descriptor_limits(program, *sample) for sample in zip(entries, copied, run.k.tolist(), strict=True)
    ]
    return [
        {"node": node, "unit": unit}
        | {name: float(np.asarray(values)[..., n].mean()) for name, values in columns.items()}
        | {"limit": float(np.mean([one[n].cycles for one in limits])), "resource": limits[0][n].resource}
        for n, (node, unit) in enumerate(heads)
    ]


def _cosim_level(
    program: Program, run: Vectors, result: CosimResult, predictions: Sequence[Prediction]
) -> dict[str, Any]:
    measured, predicted = result.cycles, np.array([prediction.cycles for prediction in predictions])
    return {
        "k": run.request,
        "k_mean": float(np.mean(run.k)),
        "sparsity_percent": _sparsity(program, run),
        "samples": result.samples,
        "mismatches": result.mismatches,
        "elements_compared": sum(result.compared.values()),
        "accuracy": float((result.logits.argmax(axis=1) == run.labels).mean()),
        "cycles": {
            "measured_mean": float(measured.mean()),
            "measured_min": int(measured.min()),
            "measured_max": int(measured.max()),
            "predicted_mean": float(predicted.mean()),
        },
        "layers": _layers(
            program,
            run,
            predictions,
            measured=result.layer_cycles,
            predicted=[prediction.layer_cycles for prediction in predictions],
            entries=result.layer_entries,
        ),
    }


def _estimate_level(
    program: Program, run: Vectors, energy: EnergyEstimate, predictions: Sequence[Prediction]
) -> dict[str, Any]:
    return {
        "k": run.request,
        "k_mean": float(np.mean(run.k)),
        "sparsity_percent": _sparsity(program, run),
        "samples": len(run.input),
        "cycles_mean": float(np.mean([prediction.cycles for prediction in predictions])),
        "layers": _layers(
            program,
            run,
            predictions,
            predicted=[prediction.layer_cycles for prediction in predictions],
            entries=[prediction.layer_entries for prediction in predictions],
            energy_pj=[energy.layers[:-1]],
        ),
        "energy": energy.to_json(),
    }


def check_interpreter(graph: Graph, run: Vectors) -> None:
    """Vectors (PyTorch's, if they were exported) against the interpreter: a second, independent statement.

    Raises
    ------
    MismatchError
        Names K, sample, layer, index and both values.
    """
    for name, values in interpret(graph, run.input, run.request).items():
        if name not in run.tensors:
            continue
        expected = np.asarray(run.tensors[name])
        if values.shape != expected.shape:
            raise MismatchError(
                f"K = {run.request}, layer {name}: the vectors have shape {expected.shape}, the"
                f" interpreter {values.shape}; export vectors and model together"
            )
        different = values != expected
        if of_ranks(name):
            own = np.arange(values.shape[1]) < run.k[:, None]
            different &= own.reshape(*own.shape, *[1] * (values.ndim - 2))
        if different.any():
            at = tuple(int(i) for i in np.argwhere(different)[0])
            raise MismatchError(
                f"K = {run.request}, sample {at[0]}, layer {name}, index {at[1:]}: the vectors have"
                f" {expected[at]}, the interpreter {values[at]}; export vectors and model together"
            )


def _check_cycles(
    program: Program, result: CosimResult, predictions: Sequence[Prediction], memory: MemoryTiming
) -> None:
    """Measured numbers against predicted ones.

    How long a memory that pauses lets a layer wait is measured, and not predicted. What is under way goes on meanwhile,
    so that such a layer takes at most so much longer; a step may wait for its half of the cycles, one a tile.
    """
    tiles = np.array([decode(word).get("tiles", 0) for word in program.descriptors[:-1]])
    for sample, prediction in enumerate(predictions):
        waited = result.layer_stalls[sample] if memory.stalls else np.zeros_like(tiles)
        slack = tiles * (waited > 0)
        checks = [
            ("active entries", prediction.layer_entries, result.layer_entries[sample], (0, 0)),
            ("cycles", prediction.layer_cycles, result.layer_cycles[sample], (-slack, waited + slack)),
            ("stall cycles", prediction.layer_stalls, result.layer_stalls[sample] - waited, (0, 0)),
        ]
        for what, predicted, measured, (earlier, later) in checks:
            expected, actual = np.array(predicted, np.int64), measured.astype(np.int64)
            wrong = (actual < expected + earlier) | (actual > expected + later)
            if wrong.any():
                at = int(wrong.argmax())
                raise MismatchError(
                    f"{program.name}, K = {result.k}, sample {sample}, node {result.nodes[at]!r}: {what}: model"
                    f" predicts {expected[at]}, measured {actual[at]}"
                )
        between = int(result.cycles[sample]) - int(result.layer_cycles[sample].sum())
        expected_between = prediction.cycles - sum(prediction.layer_cycles)
        if between > expected_between or (between < expected_between and not waited.any()):
            raise MismatchError(
                f"{program.name}, K = {result.k}, sample {sample}: cycles between descriptors: model predicts"
                f" {expected_between}, measured {between}"
            )


def _attention(simulation: ProgramSimulation, spikes: NDArray) -> dict[str, Any]:
    """Measured cycles of the attention unit over K, from its counter, and how they follow K^2."""
    program = simulation.program
    config = program.config
    attends = [n for n, word in enumerate(program.descriptors) if decode(word)["op"] is Op.ATTEND]
    if not attends:
        return {"points": [], "fit": None}
    at = attends[0]
    highest = min(program.tokens, config.max_topk)
    lowest = min(config.lanes, max(highest - ATTENTION_POINTS + 1, 1))
    ks = sorted({round(k) for k in np.linspace(lowest, highest, ATTENTION_POINTS)})
    fields = decode(program.descriptors[at])
    points = []
    for k in ks:
        measured = simulation.infer(spikes, k=k, record=False).layer_cycles[0, at]
        points.append({"k": k, "measured": int(measured), "predicted": attend_cycles(config, fields, k)})
    enough = len(points) > 3
    return {
        "points": points,
        "fit": fit_square([(point["k"], point["measured"]) for point in points]) if enough else None,
    }
