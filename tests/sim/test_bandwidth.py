"""The bandwidth that streamed weights need, against the streamer's exact model."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.descriptor import Op, decode
from sparta_hw.errors import SpartaError
from sparta_hw.passes import compile_model
from sparta_hw.program import Program
from sparta_rtl.sequencer import FETCH_CYCLES, HANDOVER_CYCLES
from sparta_sim.bandwidth import weight_bandwidth
from sparta_sim.cycles.model import Prediction
from sparta_sim.cycles.stream import MemoryTiming, WeightStream
from tests.sim.networks import random_network

LATENCY = 20
WIDE = replace(NAMED_CONFIGS["tiny"], name="wide", lanes=16, line=16, stream_bits=32)


def program_of(weight_rows: int) -> Program:
    graph = random_network(4, stems=(16, 32, 32), size=6)
    return compile_model(graph, replace(WIDE, weight_rows=weight_rows))


def layers(program: Program) -> list[dict[str, int]]:
    return [decode(word) for word in program.descriptors[:-1]]


def with_tiles_of(program: Program, cycles: float, seed: int) -> Prediction:
    """An inference whose tiles take about ``cycles`` a weight row, other descriptors 50."""
    rng = np.random.default_rng(seed)
    counts = [
        1 + f["tiles"] * int(f["weight_pitch"] * cycles * rng.uniform(0.5, 1.5))
        if f["op"] is Op.LAYER
        else 50
        for f in layers(program)
    ]
    nothing = (0,) * len(counts)
    tiles = []
    for fields, count in zip(layers(program), counts, strict=True):
        ends = [
            1 + n * (count - 1) // max(fields.get("tiles", 0), 1) for n in range(fields.get("tiles", 0) + 1)
        ]
        tiles.append(tuple(pairwise(ends)))
    return Prediction(tuple(counts), nothing, nothing, nothing, tuple(tiles), 0)


def stalls(program: Program, prediction: Prediction, inferences: int = 60) -> int:
    """Cycles that tiles wait, inferences without a pause in between, from the streamer's model."""
    stream, now, waited = WeightStream(program.config, len(program.weights), LATENCY), 0, 0
    for _ in range(inferences):
        for fields, cycles in zip(layers(program), prediction.layer_cycles, strict=True):
            now += FETCH_CYCLES + HANDOVER_CYCLES + (1 if fields["op"] is Op.LAYER else cycles)
            for _ in range(fields.get("tiles", 0)):
                begin = max(now, stream.rows_there(fields["weight_pitch"]) + 1)
                waited += begin - now
                now = begin + (cycles - 1) // fields["tiles"]
                stream.release(fields["weight_pitch"], now)
        now += FETCH_CYCLES
    return waited


@pytest.mark.parametrize("weight_rows", [1024, 4096])
@pytest.mark.parametrize("seed", range(4))
def test_the_port_suffices_if_it_has_the_needed_bandwidth(weight_rows: int, seed: int) -> None:
    program = program_of(weight_rows)
    port = program.config.stream_bits / 8
    for cycles in np.geomspace(2, 20, 12):
        prediction = with_tiles_of(program, cycles, seed)
        need = weight_bandwidth(program, prediction, LATENCY + 4)
        if need.needed <= port:
            assert not stalls(program, prediction)
        elif need.needed > 1.15 * port:
            assert stalls(program, prediction)


def test_numbers_of_one_inference() -> None:
    program = program_of(4096)
    prediction = with_tiles_of(program, 8, 1)
    need = weight_bandwidth(program, prediction, LATENCY)
    assert need.image_bytes == program.weights.size
    assert need.tiles == sum(fields.get("tiles", 0) for fields in layers(program))
    assert need.mean == pytest.approx(need.image_bytes / prediction.cycles)
    assert need.mean <= need.needed
    assert need.one_ahead_node in program.nodes


@pytest.mark.parametrize("wrong", [{"latency": 0}, {"stalls": 1.0}, {"stalls": -0.1}])
def test_a_memory_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(
        SpartaError, match=r"latency must be at least 1 cycle and the stall probability 0 to 0.99"
    ):
        MemoryTiming(**wrong)
