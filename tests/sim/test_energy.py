from dataclasses import replace

import numpy as np
import pytest

from sparta_hw.config import load_config
from sparta_hw.descriptor import Op, decode
from sparta_sim.cycles.model import entry_words, layer_words, predict
from sparta_sim.energy import Block, Part, count_activity, estimate_energy
from sparta_sim.energy.activity import layer_work
from sparta_sim.energy.estimate import legacy_pj
from sparta_sim.energy.figures import FIGURES, access_pj, adder_pj, multiplier_pj
from sparta_sim.energy.firing import fire_events
from sparta_sim.tensor_map import layer_inputs

KILOBYTE = 1024 * 8


def test_figures_are_those_of_the_source_with_unit_and_source() -> None:
    values = {name: figure.value for name, figure in FIGURES.items()}
    assert values == {
        "add_int8": 0.03, "add_int32": 0.1, "mult_int8": 0.2, "mult_int32": 3.1, "sram_64bit_8KB": 10,
        "sram_64bit_32KB": 20, "sram_64bit_1MB": 100, "dram_64bit_low": 1300, "dram_64bit_high": 2600,
        "legacy_ac_fp32": 0.9, "legacy_mac_fp32": 4.6,
    }  # fmt: skip
    assert {figure.unit for figure in FIGURES.values()} == {"pJ"}
    assert all("ISSCC 2014" in figure.source or "fp32" in figure.source for figure in FIGURES.values())


def test_operations_between_the_figures() -> None:
    assert adder_pj(8) == pytest.approx(0.03)
    assert adder_pj(32) == pytest.approx(0.1)
    assert adder_pj(20) == pytest.approx(0.065)  # half-way
    assert multiplier_pj(8, 8) == pytest.approx(0.2)
    assert multiplier_pj(32, 32) == pytest.approx(3.1)
    assert multiplier_pj(17, 32) == pytest.approx(0.2 + 2.9 / 2)  # 544 = half-way from 64 to 1024


def test_memory_accesses_between_the_figures() -> None:
    assert access_pj(64, 8 * KILOBYTE) == pytest.approx(10)
    assert access_pj(64, 32 * KILOBYTE) == pytest.approx(20)
    assert access_pj(64, 1024 * KILOBYTE) == pytest.approx(100)
    assert access_pj(128, 8 * KILOBYTE) == pytest.approx(20)  # proportional to the width
    assert access_pj(64, 16 * KILOBYTE) == pytest.approx(200**0.5)  # power law: geometric mean
    assert access_pj(64, 2 * KILOBYTE) == pytest.approx(5)  # slope 1/2, continued downwards


def test_work_of_layers_by_hand(case) -> None:
    """Against plain loops over windows, and the cycle model's active entries."""
    k, config = 5, case.program.config
    tensors = case.sample(0)
    predicted = predict(case.program, tensors, k, k)
    for at, layouts in layer_inputs(case.program).items():
        fields = decode(case.program.descriptors[at])
        work = layer_work(config, fields, layer_words(layouts, tensors, config), k)
        assert work.entries * fields["tiles"] == predicted.layer_entries[at]
    padded = np.pad(tensors["spikes"], ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = sum(int(padded[:, :, y : y + 8, x : x + 8].sum()) for y in range(3) for x in range(3))
    fields = decode(case.program.descriptors[0])
    words = entry_words(case.program.input, tensors["spikes"], config)
    work = layer_work(config, fields, words, k)
    assert (work.positions, work.spike_bits) == (64, windows)
    # 8 entries a line: a window row of 2 or 3 pixels x 2 channels touches one or two lines, in 2 groups.
    inner = {x: 1 if (x - 1) * 2 // 8 == (x * 2 + 3) // 8 else 2 for x in range(1, 7)}
    columns = 1 + sum(inner.values()) + 1
    assert work.lines == columns * (6 * 3 + 2 * 2) * 2


def test_energy_of_the_fire_stage_by_hand(case) -> None:
    positions, outputs, steps, tiles = 64, 5, 6, 2
    events = {
        event.what: event
        for event in count_activity(case.program, case.sample(0), 5)
        if event.descriptor == 0
    }
    assert events["bias additions"].count == positions * outputs * steps
    assert events["leak multiplications"].count == 2 * positions * outputs * steps
    assert "plane additions" not in events
    # Currents of 4 lanes x 16 bits, a row a step, two groups of 4 steps: 64 bytes.
    currents = events["currents written and read"]
    assert (currents.part, currents.count) == (Part.MEMORIES, 2 * positions * tiles * steps)
    assert currents.pj_each == pytest.approx(10 * (64 / 8192) ** 0.5)


def test_lanes_that_share_the_fire_stage_multiply_once_and_keep_membranes_in_memory() -> None:
    core = load_config("mlp")
    fields = {"outputs": 20, "steps": 25, "out_steps": 25, "integer": 0, "direct": 0, "tiles": 1, "slots": 2}
    events = {what: (count, pj) for _, what, count, pj in fire_events(core, fields, 1, 0)}
    assert events["leak multiplications"][0] == 20 * 25
    assert events["membranes read and written"][0] == 2 * 2 * 25
    assert events["membranes read and written"][1] == pytest.approx(access_pj(16 * 16, 16 * 16 * 8))
    assert events["parameters read"] == (2 * 25, pytest.approx(access_pj(16 * 48, 16 * 48 * 8)))
    assert "currents written and read" not in events


def test_energy_of_attention_by_hand(case) -> None:
    k, features, chunks = 5, 8, 2
    attend = next(n for n, word in enumerate(case.program.descriptors) if decode(word)["op"] is Op.ATTEND)
    events = {
        event.what: event
        for event in count_activity(case.program, case.sample(0), k)
        if event.descriptor == attend
    }
    assert events["query-key multiplications"].pj == pytest.approx(k * k * features * 0.2)
    assert events["probability-value multiplications"].pj == pytest.approx(
        k * k * features * (0.2 + (13 * 8 - 64) * 2.9 / 960)
    )
    # Rows of 4 x 8 bits, 16 tokens of 32 features: 128 rows = 512 bytes, 10 pJ x sqrt(512 / 8192) for 64 bits.
    assert events["key and value rows read"].count == 2 * k * k * chunks
    assert events["key and value rows read"].pj_each == pytest.approx(10 * (512 / 8192) ** 0.5 * 32 / 64)
    assert {event.block for event in events.values()} == {Block.ATTENTION}


def test_totals_add_up_in_every_division(case) -> None:
    samples = [case.sample(n) for n in range(3)]
    estimate = estimate_energy(case.program, samples, [5] * 3)
    events = [event for tensors in samples for event in count_activity(case.program, tensors, 5)]
    total = sum(event.pj for event in events) / 3
    assert estimate.total_pj == pytest.approx(total)
    assert sum(estimate.parts.values()) == pytest.approx(total)
    assert sum(estimate.layers) == pytest.approx(total)
    assert set(estimate.parts) == {part.value for part in Part if part is not Part.EXTERNAL}
    assert estimate.to_json()["kind"] == "modelled"


def test_streamed_weights_cost_a_dram_access_and_a_write_each(case) -> None:
    program, tensors = case.program, case.sample(0)
    streaming = replace(program, config=replace(program.config, stream_bits=32))
    more = estimate_energy(streaming, [tensors], [5])
    dram = program.weights.size * 8 / 64 * 1950
    writes = len(program.weights) * access_pj(32, program.config.weight_rows * 32)
    assert more.parts["external memory"] == pytest.approx(dram)
    assert more.total_pj == pytest.approx(estimate_energy(program, [tensors], [5]).total_pj + dram + writes)


def test_the_selector_counts_for_the_attention_block(case) -> None:
    events = count_activity(case.program, case.sample(0), 5)
    assert all(event.block is Block.ATTENTION for event in events if event.part is Part.SELECTION)
    assert any(event.part is Part.SELECTION and event.descriptor == 1 for event in events)


def test_fewer_tokens_take_less_energy_in_the_attention_block_only(case) -> None:
    dense = estimate_energy(case.program, [case.sample(0, 16)], [16])
    sparse = estimate_energy(case.program, [case.sample(0, 4)], [4])
    assert sparse.attention_pj < dense.attention_pj / 2
    assert sparse.blocks["stem"] == dense.blocks["stem"]


def test_legacy_figures_by_hand(case) -> None:
    k, tensors = 5, case.sample(0)
    found = legacy_pj(case.program, tensors, k)
    macs = 3 * k * 8 * 8 + 2 * k * k * 8
    assert found["attention block"] == pytest.approx(macs * 4.6)
    assert found["head"] == pytest.approx(8 * 3 * 4.6)
    padded = np.pad(tensors["spikes"], ((0, 0), (0, 0), (1, 1), (1, 1)))
    first = sum(int(padded[:, :, y : y + 8, x : x + 8].sum()) for y in range(3) for x in range(3)) * 5
    padded = np.pad(tensors["stem.0"], ((0, 0), (0, 0), (1, 1), (1, 1)))
    second = (
        sum(int(padded[:, :, y : y + 8 : 2, x : x + 8 : 2].sum()) for y in range(3) for x in range(3)) * 8
    )
    assert found["stem"] == pytest.approx((first + second) * 0.9)
