"""A core that streams its weights: bit-exact whatever the memory does; cycles and waits as predicted; fails closed."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.descriptor import decode
from sparta_hw.errors import SpartaError
from sparta_hw.passes import compile_model
from sparta_rtl.host import Register
from sparta_sim.cosim import ProgramSimulation, run_cosim
from sparta_sim.cycles.model import predict
from sparta_sim.cycles.stream import MemoryTiming
from sparta_sim.measure import measure_cosim
from tests.sim.conftest import Case
from tests.sim.networks import random_network, random_spikes

pytestmark = pytest.mark.slow

CORE = replace(NAMED_CONFIGS["tiny"], name="tiny-stream", stream_bits=32, weight_rows=512)
SHAPES = (
    {"steps": 5, "stems": (4, 20, 32), "size": 6},
    {"steps": 8, "stems": (20, 16, 4, 8), "size": 6, "classes": 7},
)
FAR = MemoryTiming(latency=9000)
TIMINGS = (
    MemoryTiming(latency=1),
    MemoryTiming(),
    MemoryTiming(latency=2500),
    FAR,
    MemoryTiming(latency=20, stalls=0.5),
    MemoryTiming(latency=1, stalls=0.95),
)
SLOW = MemoryTiming(latency=40, stalls=0.9)


def streamed_case(number: int) -> Case:
    graph = random_network(number + 20, **SHAPES[number])
    return Case(graph, compile_model(graph, CORE), random_spikes(graph, 2))


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [streamed_case(number) for number in range(len(SHAPES))]


@pytest.fixture(scope="module")
def streaming(cases: list[Case]) -> Iterator[ProgramSimulation]:
    with ProgramSimulation(cases[0].program, seed=7) as simulated:
        yield simulated


@pytest.mark.parametrize("memory", TIMINGS, ids=str)
def test_bit_exact_with_predicted_cycles_and_waits(cases, streaming, memory: MemoryTiming) -> None:
    """Two networks after each other; how long waits at random times are is measured, all other cycles are predicted."""
    for case in (*cases, *cases):
        streaming.switch(case.program)
        section = measure_cosim(streaming, case.graph, [case.vectors(5)], memory=memory)
        assert section["mismatches"] == 0
        waited = streaming.infer(case.spikes, record=False, memory=memory)
        assert waited.stalls.tolist() == waited.layer_stalls.sum(axis=1).tolist()
        if case is cases[0] and (memory.latency > 1000 or memory.stalls > 0.9):
            assert waited.stalls.all()
        if memory == FAR:
            tiles = [decode(word).get("tiles") for word in case.program.descriptors[:-1]]
            layers = [at for at, count in enumerate(tiles) if (count == 1) == (case is cases[1])]
            assert waited.layer_stalls[:, layers].any()
        if memory == MemoryTiming():
            assert not waited.stalls.any()


def test_streams_that_pause_change_nothing(cases, streaming) -> None:
    case = cases[1]
    streaming.switch(case.program)
    run_cosim(
        case.program, case.spikes, case.expected(), simulation=streaming, stalls=0.4, memory=SLOW
    ).check()


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "abort"])
@pytest.mark.parametrize("memory", [MemoryTiming(), SLOW], ids=str)
def test_reset_and_abort_at_any_cycle(cases, streaming, reset: bool, memory: MemoryTiming) -> None:
    """Also in mid-burst: the memory model notices an address that is withdrawn."""
    case = cases[1]
    streaming.switch(case.program)
    k, words = case.program.default_k, case.program.pack_input(case.spikes[0])
    whole = len(words) + int(streaming.infer(case.spikes[:1], record=False, memory=memory).cycles[0])
    expected = {name: values[1:2] for name, values in case.expected().items()}
    for cycles in np.random.default_rng(4).integers(0, whole, 25):
        streaming.interrupt(words, k=k, cycles=int(cycles), reset=reset)
        result = run_cosim(case.program, case.spikes[1:2], expected, simulation=streaming, memory=memory)
        result.check()
        alone, waited = predict(case.program, case.sample(1), k, k).cycles, int(result.layer_stalls.sum())
        assert alone <= result.cycles[0] <= alone + waited


def test_an_error_of_the_memory_ends_the_inference_and_is_reported(cases, streaming) -> None:
    case = cases[0]
    lanes, rows = CORE.lanes, len(case.program.weights)
    for row in (0, rows // 2, rows - 1):
        streaming.switch(case.program)
        streaming.spoil(row * lanes)
        with pytest.raises(SpartaError, match="ended without results: the memory of the weights"):
            streaming.infer(case.spikes[:1], record=False, memory=SLOW)
        assert streaming.read(Register.STATUS) == 4
        with pytest.raises(SpartaError, match="ended without results"):
            streaming.infer(case.spikes[:1], record=False)
    streaming.switch(case.program)
    assert streaming.read(Register.STATUS) == 0
    run_cosim(case.program, case.spikes, case.expected(), simulation=streaming).check()


def test_registers(cases, streaming) -> None:
    case = cases[1]
    streaming.switch(case.program)
    assert streaming.read(Register.STREAM_ROWS) == len(case.program.weights)
    streaming.stream(case.program.weights, 0x1234_5000)
    assert streaming.read(Register.STREAM_BASE) == 0x1234_5000
    run_cosim(case.program, case.spikes, case.expected(), simulation=streaming).check()


def test_other_weights_are_noticed(cases, streaming) -> None:
    case = cases[1]
    weights = case.program.weights.copy()
    weights[CORE.header_rows + 3] ^= 0x40
    streaming.switch(replace(case.program, weights=weights))
    result = run_cosim(case.program, case.spikes, case.expected(), simulation=streaming)
    assert result.mismatches
