"""Hundreds of random networks on a core without a new one: every layer bit-exact, every descriptor's cycles exact."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_hw.onnx_import import import_model
from sparta_hw.passes import compile_model
from sparta_hw.vectors import load_vectors
from sparta_quant.export import export_onnx, export_vectors
from sparta_quant.random_network import random_network, random_spikes
from sparta_sim.cosim import ProgramSimulation
from sparta_sim.measure import measure_cosim

pytestmark = pytest.mark.slow

SEEDS = range(1000, 1200)
PARTS = 4
TINY = NAMED_CONFIGS["tiny"]
ALL_STEPS = replace(TINY, steps=16, sum_sets=3)
"""As many steps at once as the networks have, at most: silent positions copy their spikes (``issue.py``)."""


def compare(
    folder: Path,
    core: CoreConfig,
    seeds: Iterable[int],
    seen: Callable[[NDArray[np.uint8], int], NDArray[np.uint8]],
) -> None:
    """Simulate a network for each seed on what is ``seen`` of random spikes."""
    simulation: ProgramSimulation | None = None
    for seed in seeds:
        network = random_network(seed)
        model, vectors = folder / "model.onnx", folder / "vectors.npz"
        export_onnx(network, model)
        spikes = seen(random_spikes(network.config, 1, seed), seed)
        export_vectors(network, spikes, np.zeros(1, np.int64), vectors)
        graph = import_model(model)
        program = compile_model(graph, core)
        if simulation is None:
            simulation = ProgramSimulation(program)
        simulation.switch(program)
        section = measure_cosim(simulation, graph, [load_vectors(vectors)])
        assert section["mismatches"] == 0, f"seed {seed}"
        assert section["cycles_predicted_exactly"], f"seed {seed}"
    assert simulation is not None
    simulation.close()


@pytest.mark.parametrize("part", range(PARTS))
def test_cycles_are_predicted_exactly(tmp_path: Path, part: int) -> None:
    compare(tmp_path, TINY, SEEDS[part::PARTS], lambda spikes, seed: spikes)


def in_a_corner(spikes: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Spikes (N, T, C, H, W) in a rectangle of the picture alone, as of an event camera before one moving thing."""
    rng = np.random.default_rng(seed)
    height, width = spikes.shape[-2:]
    top, left = rng.integers(height), rng.integers(width)
    inside = np.zeros((height, width), np.uint8)
    inside[top : top + 1 + rng.integers(height // 2), left : left + 1 + rng.integers(width // 2)] = 1
    return spikes * inside


def test_cycles_are_predicted_exactly_where_most_positions_are_silent(tmp_path: Path) -> None:
    compare(tmp_path, ALL_STEPS, SEEDS[:60], in_a_corner)
