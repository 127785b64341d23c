"""Layers of the paper's size on 64 lanes, with streamed weights: bit-exact, cycles and waits as predicted."""

from dataclasses import replace

import pytest

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.ir import Graph, SpikingConv
from sparta_hw.passes import compile_model
from sparta_sim.cosim import ProgramSimulation
from sparta_sim.cycles.stream import IDEAL_MEMORY, MemoryTiming
from sparta_sim.measure import measure_cosim
from tests.sim.conftest import Case
from tests.sim.networks import random_network, random_spikes

pytestmark = pytest.mark.slow

CORE = replace(
    NAMED_CONFIGS["paper-stream"],
    name="paper layers",
    steps=4,
    max_steps=8,
    max_tokens=16,
    max_topk=16,
    spike_lines=2048,
    weight_rows=4096,
    layers=16,
)
"""Lanes and port of ``paper-stream``; what the layers do not need is small, so that it builds soon."""


def balanced(graph: Graph) -> Graph:
    """Weights whose sums over many inputs do not drift away."""
    return replace(
        graph,
        operations=tuple(
            replace(op, weight=op.weight - round(op.weight.mean())) if isinstance(op, SpikingConv) else op
            for op in graph.operations
        ),
    )


def test_convolution_and_attention_projections() -> None:
    """A 3x3 convolution of 128 channels to 512, then 512 to 512 queries, keys and values: 1.4 MB through 256 KiB."""
    graph = balanced(random_network(31, steps=8, size=4, stems=(128, 512), default_k=4))
    program = compile_model(graph, CORE)
    assert program.weights.size > 5 * CORE.weight_rows * CORE.lanes
    case = Case(graph, program, random_spikes(graph, 1))
    vectors = case.vectors(4)
    assert 0.02 < vectors.tensors["stem.1"].mean() < 0.9
    with ProgramSimulation(program, brief=True) as simulation:
        for memory in (IDEAL_MEMORY, MemoryTiming(latency=100, stalls=0.6)):
            section = measure_cosim(simulation, graph, [vectors], memory=memory)
            assert section["mismatches"] == 0
            assert section["cycles_predicted_exactly"] == (not memory.stalls)
        assert simulation.infer(case.spikes, k=4, record=False, memory=memory).stalls.all()
