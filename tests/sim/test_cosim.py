"""The whole core in Verilator, against the interpreter."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_hw.errors import ConfigError, MismatchError, SpartaError
from sparta_hw.interpreter import run
from sparta_hw.passes import compile_model
from sparta_hw.sparsity import SPARSITY_LEVELS, topk_of
from sparta_rtl.host import LoadTarget
from sparta_sim.cosim import CosimResult, ProgramSimulation, run_cosim
from sparta_sim.cycles.model import predict
from sparta_sim.measure import measure_cosim
from sparta_sim.report import write_report, write_section
from sparta_sim.simulation import CoreSimulation
from tests.sim.networks import random_network, random_spikes

KS = sorted({topk_of(16, level) for level in SPARSITY_LEVELS} | {1})


def test_levels_of_the_paper() -> None:
    assert [topk_of(256, level) for level in SPARSITY_LEVELS] == [256, 192, 128, 89, 64]
    assert topk_of(2, 99) == 1


def test_expected_values_must_cover_every_tensor(case) -> None:
    expected = case.expected()
    del expected["pooled"]
    with pytest.raises(ConfigError, match="lack the tensor 'pooled'"):
        run_cosim(case.program, case.spikes, expected)


@pytest.mark.slow
@pytest.mark.parametrize("k", KS)
def test_every_layer_agrees(case, simulation, k: int) -> None:
    expected = case.expected(k)
    result = run_cosim(case.program, case.spikes, expected, k, simulation=simulation)
    result.check()
    assert result.samples == len(case.spikes)
    assert np.array_equal(result.logits, expected["logits"])
    assert result.compared == {name: expected[name].size for name in result.compared}
    names = {"stem.0", "stem.1", "msp", "temporal", "first", "interval", "rate", "score", "winners", "tokens"}
    assert names | {"selected", "query.0", "attention.0", "pooled"} < set(result.compared)


@pytest.mark.slow
@pytest.mark.parametrize("k", KS)
def test_cycles_and_entries_are_predicted_exactly(case, simulation, k: int) -> None:
    result = run_cosim(case.program, case.spikes, case.expected(k), k, simulation=simulation)
    for sample in range(len(case.spikes)):
        predicted = predict(case.program, case.sample(sample, k), k, k)
        assert predicted.layer_cycles == tuple(result.layer_cycles[sample])
        assert predicted.layer_entries == tuple(result.layer_entries[sample])
        assert predicted.cycles == result.cycles[sample]


@pytest.fixture(scope="module")
def many_lanes() -> CoreConfig:
    return replace(NAMED_CONFIGS["tiny"], name="many-lanes", lanes=32, line=32, steps=2, spike_lines=512)


@pytest.mark.slow
def test_the_end_waits_for_the_last_logits(many_lanes: CoreConfig) -> None:
    """They leave one a cycle while END is fetched; of more than 13 in the last tile, some are still there."""
    extra = {}
    with ProgramSimulation(compile_model(random_network(1, classes=3), many_lanes)) as simulation:
        for classes in (3, 13, 14, 20, 32, 33, 50):
            graph = random_network(1, classes=classes)
            program = compile_model(graph, many_lanes)
            simulation.switch(program)
            spikes = random_spikes(graph, 2)
            expected = run(graph, spikes)
            result = run_cosim(program, spikes, expected, simulation=simulation)
            result.check()
            for sample in range(len(spikes)):
                tensors = {"spikes": spikes[sample]} | {
                    name: value[sample] for name, value in expected.items()
                }
                predicted = predict(program, tensors, graph.default_k, graph.default_k)
                assert predicted.cycles == result.cycles[sample], classes
            extra[classes] = predicted.waits
    assert [extra[n] - extra[3] for n in extra] == [0, 0, 1, 7, 19, 0, 5]


@pytest.mark.slow
def test_without_skipping_cycles_grow_and_no_value_changes(case, simulation) -> None:
    skipping = run_cosim(case.program, case.spikes, case.expected(), simulation=simulation)
    program = case.program.dense()
    with ProgramSimulation(program) as other:
        dense = run_cosim(program, case.spikes, case.expected(), simulation=other)
    dense.check()
    assert (dense.layer_entries >= skipping.layer_entries).all()
    assert (dense.cycles > 1.2 * skipping.cycles).all()
    own = program.default_k
    for sample in range(len(case.spikes)):
        predicted = predict(program, case.sample(sample, own), own, own)
        assert predicted.layer_cycles == tuple(dense.layer_cycles[sample])


@pytest.mark.slow
@pytest.mark.parametrize("stalls", [0.3, 0.9])
def test_stalls_change_cycles_but_no_value(case, simulation, stalls: float) -> None:
    plain = run_cosim(case.program, case.spikes, case.expected(), simulation=simulation)
    with ProgramSimulation(case.program, seed=7) as other:
        stalled = run_cosim(
            case.program, case.spikes, case.expected(), simulation=other, stalls=stalls, max_cycles=100_000
        )
    stalled.check()
    assert np.array_equal(stalled.logits, plain.logits)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        {"steps": 8, "stems": (4, 12, 16), "size": 6, "classes": 10},
        {"steps": 3, "stems": (9,), "channels": 1},
        {"steps": 1, "stems": (3, 4)},
        {"steps": 5, "stems": (16, 13), "channels": 3, "size": 7, "classes": 2},
    ],
)
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_other_networks_on_the_same_core(network: dict, rate: float) -> None:
    graph = random_network(9, **network)
    program = compile_model(graph, NAMED_CONFIGS["tiny"])
    spikes = random_spikes(graph, 2, rate)
    for k in (1, graph.tokens):
        run_cosim(program, spikes, run(graph, spikes, k), k).check()


def flipped(case, row: int, lane: int, bit: int) -> CosimResult:
    """Co-simulation with one bit of the weight image flipped."""
    weights = case.program.weights.copy()
    weights[row, lane] ^= 1 << bit
    program = replace(case.program, weights=weights)
    return run_cosim(program, case.spikes, case.expected())


@pytest.mark.slow
def test_one_flipped_weight_bit_is_found_where_it_acts(case) -> None:
    # Row 204 begins the query's tile 0: 6 header rows, then one row a feature; lane 1, sign bit.
    result = flipped(case, 204 + 6 + 3, 1, 7)
    with pytest.raises(
        MismatchError,
        match=r"sample 0, layer query\.0 \(node 'query_projection'\), index \(0, 1\), step -:"
        r" expected -?\d+, actual -?\d+;",
    ):
        result.check()


@pytest.mark.slow
def test_one_flipped_threshold_bit_is_found_with_its_step(case) -> None:
    # Header row 4 of tile 0: the upper half of the thresholds. Channel 2 hardly fires any more.
    result = flipped(case, 4, 2, 6)
    assert result.first is not None
    assert (result.first.tensor, result.first.index[0]) == ("stem.0", 2)
    with pytest.raises(
        MismatchError, match=r"stem\.0 .* index \(2, \d+, \d+\), step \d: expected 1, actual 0; 3 of 3"
    ):
        result.check()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["stem.1", "msp", "rate", "score", "winners", "tokens", "value.0", "attention.0", "pooled", "logits"],
)
def test_one_wrong_expectation_in_any_tensor_is_found(case, simulation, name: str) -> None:
    expected = case.expected()
    wrong = expected[name].copy()
    wrong[1].flat[-1] += 1
    result = run_cosim(case.program, case.spikes, expected | {name: wrong}, simulation=simulation)
    assert result.mismatches == 1
    assert result.first is not None
    assert (result.first.sample, result.first.tensor) == (1, name)
    assert result.first.expected == (result.first.actual or 0) + 1


@pytest.mark.slow
def test_a_layer_that_never_ran_is_a_mismatch(case) -> None:
    descriptors = list(case.program.descriptors)
    pool = case.program.nodes.index("pool")
    descriptors[pool] = descriptors[pool - 1]  # attention again instead of the pool
    broken = replace(case.program, descriptors=tuple(descriptors))
    with ProgramSimulation(broken) as simulation:
        result = run_cosim(case.program, case.spikes, case.expected(), simulation=simulation)
    with pytest.raises(
        MismatchError, match=r"layer pooled .* index \(0,\), step -: expected -?\d+, actual never written"
    ):
        result.check()


@pytest.mark.slow
def test_a_core_that_does_not_finish_is_a_clear_error(case) -> None:
    with (
        ProgramSimulation(case.program) as simulation,
        pytest.raises(
            SpartaError, match=r"core 'tiny': sample 0: the inference did not finish within 100 cycles"
        ),
    ):
        simulation.infer(case.spikes, max_cycles=100)


@pytest.mark.slow
def test_a_clamped_k_is_refused(case, simulation) -> None:
    with pytest.raises(ConfigError, match="the core clamped K = 17: use 1 to 16"):
        run_cosim(case.program, case.spikes, case.expected(16), 17, simulation=simulation)


@pytest.mark.slow
def test_verilog_of_another_core_is_refused(case) -> None:
    other = replace(case.program.config, weight_rows=512)
    from sparta_rtl.generate import core_verilog

    with pytest.raises(ConfigError, match="generate the Verilog again"):
        CoreSimulation(other, verilog=core_verilog(case.program.config))


@pytest.mark.slow
def test_a_wave_is_written(case, tmp_path: Path) -> None:
    wave = tmp_path / "wave.vcd"
    with ProgramSimulation(case.program, wave=wave) as simulation:
        simulation.infer(case.spikes[:1])
    assert wave.stat().st_size > 100_000


@pytest.mark.slow
def test_an_interrupted_run_stops_at_once(case, simulation) -> None:
    done = []

    def progress() -> None:
        done.append(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulation.infer(case.spikes, progress=progress)
    assert len(done) == 1


@pytest.mark.slow
def test_a_measurement_becomes_a_report(case, simulation, tmp_path: Path) -> None:
    runs = [case.vectors(k) for k in KS]
    section = measure_cosim(simulation, case.graph, runs)
    assert section["cycles_predicted_exactly"]
    assert section["mismatches"] == 0
    assert len(section["attention"]["points"]) >= 5
    assert section["attention"]["fit"]["r2"] > 0.999
    write_section(tmp_path, "cosim", section)
    write_report(tmp_path)
    assert "**0 inferences with a mismatch**" in (tmp_path / "report.md").read_text()


@pytest.mark.slow
def test_vectors_of_another_network_are_found_by_the_interpreter(case, simulation) -> None:
    vectors = case.vectors(5)
    wrong = {**vectors.tensors, "pooled": vectors.tensors["pooled"] + 1}
    with pytest.raises(MismatchError, match=r"K = 5, sample 0, layer pooled, index \(0,\): the vectors have"):
        measure_cosim(simulation, case.graph, [replace(vectors, tensors=wrong)])


@pytest.mark.slow
def test_a_wrong_cycle_model_is_found(case, simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparta_sim.cycles.model.pool_cycles", lambda config, fields: 15)
    with pytest.raises(MismatchError, match="node 'pool': cycles: model predicts 15, measured 14"):
        measure_cosim(simulation, case.graph, [case.vectors(5)])


@pytest.mark.slow
def test_loading_goes_through_the_registers(case) -> None:
    """Tables loaded with another content change the score, and nothing before it."""
    with ProgramSimulation(case.program) as simulation:
        simulation.load(LoadTarget.SCORES, np.zeros(4 * 49, np.uint32))
        result = run_cosim(case.program, case.spikes, case.expected(), simulation=simulation)
    assert result.first is not None
    assert result.first.tensor == "msp"
    assert result.first.actual == 0
