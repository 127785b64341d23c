"""Plain spiking networks: compiled for cores without attention, and refused where a unit is missing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_hw.descriptor import Destination, decode
from sparta_hw.errors import CapacityError, ConfigError, UnsupportedError
from sparta_hw.interpreter import run
from sparta_hw.ir import Graph
from sparta_hw.passes import compile_graph
from sparta_hw.printer import print_graph
from sparta_hw.program import Program
from sparta_hw.verifier import verify
from tests.sparta_hw.graphs import plain_graph, random_graph, random_input, with_operation
from tests.sparta_hw.memory_machine import check

WHOLE = CoreConfig(name="whole", lanes=4, steps=3, line=8, attention=False, counts=True, weight_rows=4096)
SHARED = CoreConfig(
    name="shared", lanes=16, fire_share=4, steps=1, line=8, weight_bits=6, attention=False, counts=True,
    weight_rows=4096,
)  # fmt: skip
SMALL = replace(SHARED, name="small", lanes=4, fire_share=2, line=4, weight_bits=4)
BOTH = replace(WHOLE, name="both", attention=True, layers=48)
DENSE = ((21, 4, 1, 0), (9, 1, 1, 0), (3, 1, 1, 0))
CONVOLVED = ((5, 3, 1, 1), (37, 2, 2, 0), (10, 2, 1, 0))


def graph_for(config: CoreConfig, layers: tuple[tuple[int, int, int, int], ...], seed: int = 0) -> Graph:
    return plain_graph(seed, layers, (2, 4, 4), 6, config.weight_bits)


@pytest.mark.parametrize("layers", [DENSE, CONVOLVED], ids=["dense", "convolved"])
@pytest.mark.parametrize("config", [WHOLE, SHARED, SMALL, BOTH], ids=lambda config: config.name)
def test_memories_hold_the_network(
    config: CoreConfig, layers: tuple[tuple[int, int, int, int], ...], tmp_path: Path
) -> None:
    graph = graph_for(config, layers)
    program, inputs = compile_graph(graph, config), random_input(graph, 0, 6)
    check(graph, program, inputs, 0)
    assert run(graph, inputs)["logits"].any()
    program.save(tmp_path / "program.bin")
    program.write_images(tmp_path)
    loaded = Program.load(tmp_path / "program.bin").read_images(tmp_path)
    check(graph, loaded, inputs, 0)
    assert loaded.weight_rows() == program.weight_rows()


def test_tiles_are_equal_and_a_covering_window_is_one_row() -> None:
    program = compile_graph(graph_for(SHARED, DENSE), SHARED)
    first, second, third = (decode(word) for word in program.descriptors[:-1])
    assert [(d["tiles"], d["slots"], d["out_pitch"]) for d in (first, second, third)] == [
        (2, 3, 24), (1, 3, 12), (1, 1, 4),
    ]  # fmt: skip
    assert (first["kernel_height"], first["run"], first["row_pitch"]) == (1, 32, 32)
    assert [d["destination"] for d in (second, third)] == [Destination.SPIKES, Destination.COUNTS]
    assert "no tokens" in program.to_text()
    assert "no tokens" in print_graph(graph_for(SHARED, DENSE))


def test_counts_are_the_spikes_over_time() -> None:
    graph = graph_for(WHOLE, DENSE)
    tensors = run(graph, random_input(graph, 3, 4))
    np.testing.assert_array_equal(tensors["logits"], tensors["stem.2"].sum(axis=(1, 3, 4)))
    assert not tensors["k"].any()
    with pytest.raises(CapacityError, match="K is 3, the network has no tokens: use 0"):
        run(graph, random_input(graph, 3, 1), 3)


@pytest.mark.parametrize(
    ("graph", "config", "message"),
    [
        (
            graph_for(WHOLE, DENSE),
            NAMED_CONFIGS["tiny"],
            "counts: SpikeCount needs units .* use one with counts",
        ),
        (random_graph(0), WHOLE, r"cues\.0: SpikeCues needs units .* use one with attention"),
        (
            graph_for(WHOLE, DENSE),
            replace(SHARED, weight_rows=1 << 16),
            "weight reaches from .* weight_bits is 6",
        ),
    ],
)
def test_what_the_core_lacks_is_named(graph: Graph, config: CoreConfig, message: str) -> None:
    with pytest.raises(CapacityError, match=message):
        compile_graph(graph, config)


def test_counts_of_several_positions_are_refused() -> None:
    graph = graph_for(WHOLE, ((5, 3, 1, 1),))
    with pytest.raises(UnsupportedError, match=r"shape \(4, 4\), not \(1, 1\)"):
        verify(graph)


def test_bits_of_a_narrow_weight_count() -> None:
    graph = graph_for(SMALL, DENSE)
    program, inputs = compile_graph(graph, SMALL), random_input(graph, 0, 3)
    weight = graph.operations[1].weight.copy()  # type: ignore[attr-defined]
    weight[:, :8] ^= 1
    with pytest.raises(AssertionError):
        check(with_operation(graph, "stem.1.conv", weight=weight), program, inputs, 0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fire_share": 3}, "fire_share must be a power of two, not 3"),
        ({"fire_share": 4}, "with attention, or steps of more than 1, it must be 1"),
        ({"weight_bits": 5}, "weight_bits must be 4, 6 or 8, not 5"),
        ({"attention": False}, "needs a way to answer"),
        ({"lanes": 8, "line": 4}, r"line \(4\) must be a multiple of lanes / fire_share \(8 / 1\)"),
    ],
)
def test_cores_that_cannot_be(fields: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CoreConfig(name="impossible", **fields)  # type: ignore[arg-type]
