"""Reset and abort at any cycle, other programs on the same core, and the ends of what an input can be: bit-exact."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.errors import ConfigError
from sparta_hw.interpreter import run
from sparta_hw.ir import Graph
from sparta_hw.passes import compile_model
from sparta_rtl.host import Register
from sparta_sim.cosim import ProgramSimulation, run_cosim
from sparta_sim.cycles.model import predict
from tests.sim.networks import random_network, random_spikes

pytestmark = pytest.mark.slow

POINTS = 30
LONG = replace(NAMED_CONFIGS["tiny"], name="long", max_steps=32, spike_lines=4096)


@pytest.fixture(scope="module")
def long_core() -> Iterator[ProgramSimulation]:
    """A core for up to 32 time steps."""
    with ProgramSimulation(compile_model(random_network(1), LONG)) as simulation:
        yield simulation


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "abort"])
def test_an_inference_after_an_interrupted_one(case, simulation, reset: bool) -> None:
    k, words = case.program.default_k, case.program.pack_input(case.spikes[0])
    whole = len(words) + int(simulation.infer(case.spikes[:1], record=False).cycles[0])
    rng = np.random.default_rng(3)
    for cycles in (0, 1, len(words), whole - 1, *rng.integers(0, whole, POINTS)):
        simulation.interrupt(words, k=k, cycles=int(cycles), reset=reset)
        result = run_cosim(
            case.program, case.spikes[1:2], {n: v[1:2] for n, v in case.expected().items()}, simulation=simulation
        )  # fmt: skip
        result.check()
        assert result.cycles[0] == predict(case.program, case.sample(1), k, k).cycles, cycles


def test_an_inference_after_the_clock_alone(case, simulation) -> None:
    k, words = case.program.default_k, case.program.pack_input(case.spikes[0])
    cycles = int(simulation.infer(case.spikes[:1], record=False).cycles[0])
    simulation.toggle(words, k=k, cycles=cycles + 8)
    assert not simulation.read(Register.STATUS) & 1
    run_cosim(case.program, case.spikes, case.expected(), simulation=simulation).check()


def test_two_networks_after_each_other_without_a_new_core(case, simulation) -> None:
    other = random_network(9, steps=8, stems=(4, 12, 16), size=6, classes=7)
    program, spikes = compile_model(other, case.program.config), random_spikes(other, 2)
    for _ in range(2):
        simulation.switch(program)
        run_cosim(program, spikes, run(other, spikes), simulation=simulation).check()
        simulation.switch(case.program)
        run_cosim(case.program, case.spikes, case.expected(), simulation=simulation).check()


def test_a_program_of_another_core_is_refused(case, simulation) -> None:
    program = compile_model(random_network(1), LONG)
    with pytest.raises(ConfigError, match="max_steps 32"):
        simulation.switch(program)
    assert simulation.program is case.program


def check_ends(graph: Graph, simulation: ProgramSimulation) -> None:
    program = simulation.program
    for rate in (0.0, 0.1, 1.0):
        spikes = random_spikes(graph, 2, rate)
        for k in (1, graph.tokens):
            values = run(graph, spikes, k)
            result = run_cosim(program, spikes, values, k, simulation=simulation)
            result.check()
            sample = {name: value[0] for name, value in values.items()} | {program.input_name: spikes[0]}
            assert result.cycles[0] == predict(program, sample, k, k).cycles


@pytest.mark.parametrize("steps", [1, 2, 31, 32])
def test_few_and_many_steps_without_and_full_of_spikes(long_core: ProgramSimulation, steps: int) -> None:
    graph = random_network(7, steps=steps, stems=(5, 12))
    long_core.switch(compile_model(graph, LONG))
    check_ends(graph, long_core)


def test_back_to_back_inferences_equal_single_ones(case, simulation) -> None:
    many = simulation.infer(case.spikes, record=False)
    for n in range(len(case.spikes)):
        single = simulation.infer(case.spikes[n : n + 1], record=False)
        assert np.array_equal(single.logits[0], many.logits[n])
        assert np.array_equal(single.layer_cycles[0], many.layer_cycles[n])
