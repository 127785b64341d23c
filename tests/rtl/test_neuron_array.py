import copy

import numpy as np
import pytest
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Op, decode, encode
from sparta_sim.cycles.array import LayerTimes, Surroundings, layer_times
from sparta_sim.windows import silent_positions
from tests.altered import altered
from tests.rtl import layer_reference
from tests.rtl.layer_bench import CONFIGS, SHARED, Bench, Case, random_case
from tests.rtl.layer_reference import Memories, run_layer, word


def times(config: CoreConfig, case: Case) -> LayerTimes:
    """Here no cue unit lets the spikes wait."""
    return layer_times(config, case.fields | {"cues": 0}, words_of(config, case), case.memories.topk)


def words_of(config: CoreConfig, case: Case) -> NDArray[np.int64]:
    entries = range(case.fields["in_height"] * case.fields["row_pitch"])
    return np.array([word(config, case.fields, case.memories, e) for e in entries])


def check(config: CoreConfig, cases: list[Case], stall: float) -> None:
    for n, (case, run) in enumerate(zip(cases, Bench(config).run(cases, stall, seed=3), strict=True)):
        items, entries = run_layer(config, case.fields, case.memories)
        assert run.items == items, f"layer {n}: {case.fields}"
        assert run.entries == entries
        if not stall:
            assert (run.cycles, run.entries) == times(config, case)[:2], f"layer {n}: {case.fields}"


@pytest.mark.parametrize("name", CONFIGS)
def test_hardware_agrees_with_reference_and_cycle_model(name: str) -> None:
    check(CONFIGS[name], [random_case(CONFIGS[name], seed) for seed in range(6)], 0.0)


@pytest.mark.parametrize(("name", "stall"), [("one step", 0.3), ("long line", 0.6), ("square", 0.9)])
def test_results_do_not_depend_on_stalls(name: str, stall: float) -> None:
    check(CONFIGS[name], [random_case(CONFIGS[name], seed) for seed in range(6)], stall)


@pytest.mark.parametrize("name", SHARED)
def test_lanes_that_share_the_fire_stage(name: str) -> None:
    cases = [random_case(SHARED[name], seed) for seed in range(8)]
    assert len({case.fields["slots"] for case in cases}) > 1
    check(SHARED[name], cases, 0.0)


@pytest.mark.parametrize("name", ["square", "two steps", "ten steps", "eight slots"])
def test_many_tiles(name: str) -> None:
    """While entries of the next one are issued, where lanes do not share the fire stage."""
    config = {**CONFIGS, **SHARED}[name]
    check(config, [random_case(config, seed, tiles=8) for seed in range(4)], 0.0)
    if config.fire_share == 1:
        check(config, [random_case(config, seed, tiles=8) for seed in range(4, 6)], 0.5)


class WeightsAlwaysThere:
    """A stream of weights that keeps no tile waiting; the times of all tiles are computed one by one."""

    def rows_there(self, rows: int) -> int:
        return -1000

    def release(self, rows: int, cycle: int) -> None:
        pass


@pytest.mark.parametrize("name", [*CONFIGS, *SHARED])
def test_times_of_alike_tiles_are_computed_once(name: str) -> None:
    config = {**CONFIGS, **SHARED}[name]
    for seed in range(20):
        case = random_case(config, seed)
        fields, words = case.fields | {"tiles": 17}, words_of(config, case)
        for gap, hold in ((0, 0), (9, 0), (0, 13)):
            alike = layer_times(config, fields, words, case.memories.topk, Surroundings(gap=gap, hold=hold))
            around = Surroundings(WeightsAlwaysThere(), gap=gap, hold=hold)
            assert layer_times(config, fields, words, case.memories.topk, around) == alike


def test_another_slot_is_noticed() -> None:
    """The same weights, but the slots' headers change places."""
    config = SHARED["four slots"]
    cases = [random_case(config, seed) for seed in range(4)]
    others = copy.deepcopy(cases)
    for case in others:
        first = case.fields["weight_base"]
        rows = case.memories.weights[first : first + config.header_rows]
        case.memories.weights[first : first + config.header_rows] = rows[2:] + rows[:2]
    runs = Bench(config).run([*cases, *others])
    assert [run.items for run in runs[:4]] != [run.items for run in runs[4:]]


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARED)
def test_many_layers_that_share_the_fire_stage(name: str) -> None:
    check(SHARED[name], [random_case(SHARED[name], seed) for seed in range(100, 160)], 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_many_layers(name: str) -> None:
    check(CONFIGS[name], [random_case(CONFIGS[name], seed) for seed in range(100, 200)], 0.0)


def test_random_layers_reach_every_mode() -> None:
    fields = [random_case(config, seed).fields for config in CONFIGS.values() for seed in range(6)]
    for name in ("integer", "signed", "soft", "ranked", "direct", "dense"):
        assert {f[name] for f in fields} == {0, 1}
    assert {f["groups"] for f in fields} >= {1, 2, 3}
    assert {f["destination"] for f in fields} == set(range(6))
    assert {f["pad"] for f in fields} >= {0, 1, 2}
    assert {f["y_step"] for f in fields} >= {1, 2, 3}


def test_reference_is_a_convolution() -> None:
    """Independent of the reference's addressing: NumPy's dense convolution, HI-LIF with K 255 and theta 1."""
    config, rng = CONFIGS["square"], np.random.default_rng(5)
    channels, height, width, kernel = 3, 4, 5, 3
    spikes = rng.random((4, channels, height, width)) < 0.4
    weight = rng.integers(-128, 128, (4, channels, kernel, kernel))
    lines = spikes.transpose(2, 3, 1, 0).reshape(-1, 4, 4)  # line, place, step
    memory = [sum(1 << n for n, bit in enumerate(line.ravel()) if bit) for line in lines]
    header = [np.zeros(4), np.zeros(4), np.zeros(4), np.ones(4), np.zeros(4), np.full(4, 255)]
    rows = [*header, *weight.transpose(2, 3, 1, 0).reshape(-1, 4)]
    weights = [sum((int(v) & 255) << 8 * lane for lane, v in enumerate(row)) for row in rows]
    fields = decode(
        encode(
            Op.LAYER,
            "test",
            pad=1,
            kernel_height=kernel,
            steps=4,
            groups=1,
            out_steps=4,
            out_groups=1,
            in_height=height,
            row_pitch=width * channels,
            out_height=height,
            out_width=width,
            run=kernel * channels,
            x_step=channels,
            y_step=1,
            x_start=channels,
            tiles=1,
            slots=1,
            out_pitch=4,
            weight_pitch=len(rows),
        )
    )
    padded = np.pad(spikes, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    x = np.clip(np.einsum("tchwij,ocij->tohw", windows, weight), -(2**15), 2**15 - 1)
    v, expected = np.zeros(x.shape[1:], dtype=int), np.zeros(x.shape[1:], dtype=int)
    for t in range(4):
        v = v + ((x[t] - v) * 255 >> 8)
        expected |= (v >= 1) << t
        v[v >= 1] = 0
    items, _ = run_layer(config, fields, Memories(memory, weights))
    assert [item["words"] for item in items] == expected.transpose(1, 2, 0).reshape(-1, 4).tolist()


ALTERED = {
    "no bias": ("_clip((total + bias) >>", "_clip(total >>"),
    "hard instead of soft reset": ("v - threshold if fields", "fields['v_reset'] if fields"),
    "rows wrap around": ('0 <= column < fields["row_pitch"]', "True"),
    "results side by side": ('fields["out_pitch"]', "config.lanes"),
}


@pytest.fixture(scope="module")
def simulated() -> tuple[list[Case], list[list[dict]]]:
    config = CONFIGS["square"]
    cases = [random_case(config, seed, kind="conv") for seed in range(12)]
    return cases, [run.items for run in Bench(config).run(cases)]


@pytest.mark.parametrize("name", ALTERED)
def test_other_arithmetic_is_noticed(name: str, simulated: tuple[list[Case], list[list[dict]]]) -> None:
    cases, items = simulated
    other = altered(layer_reference, *ALTERED[name])
    assert [other["run_layer"](CONFIGS["square"], case.fields, case.memories)[0] for case in cases] != items


@pytest.mark.parametrize("kind", ["ranked", "hidden", "direct"])
def test_other_weight_is_noticed(kind: str) -> None:
    config = CONFIGS["square"]
    cases = [random_case(config, seed, kind=kind) for seed in range(4)]
    others = copy.deepcopy(cases)
    for case in others:
        for row in range(2):
            case.memories.weights[case.fields["weight_base"] + row] ^= 0x40404040
    runs = Bench(config).run([*cases, *others])
    assert [run.items for run in runs[:4]] != [run.items for run in runs[4:]]


@pytest.mark.parametrize(("steps", "copies"), [(8, True), (4, True), (9, False)])
def test_silent_positions_take_one_step_after_the_first(steps: int, copies: bool) -> None:
    """Where a position has one step group; its biases let a silent neuron fire."""
    config = CONFIGS["narrow sums"]
    for case in _nearly_silent(config, steps, 4):
        check(config, [case], 0.0)
        check(config, [case], 0.5)
        assert (times(config, case).copied > 0) == copies


def _nearly_silent(config: CoreConfig, steps: int, count: int) -> list[Case]:
    """Convolutions with spikes in a line in the middle only, so that positions are silent before and behind it."""
    groups, found = config.groups(steps), []
    for seed in range(400):
        case = random_case(config, seed, kind="conv")
        fields, spikes = case.fields, case.memories.spikes
        if fields["dense"] or fields["out_height"] * fields["out_width"] < 9:
            continue
        fields |= {"steps": steps, "groups": groups, "out_steps": steps, "out_groups": groups}
        lines = -(-fields["in_height"] * fields["row_pitch"] // config.line)
        middle = fields["in_base"] + lines // 2 * groups
        spikes[:] = [line if n == middle else 0 for n, line in enumerate(spikes)]
        active = words_of(config, case) != 0
        if silent_positions(fields, active, 0) < 6 or not active.any():
            continue
        found.append(case)
        if len(found) == count:
            break
    assert len(found) == count
    return found


def test_full_rate() -> None:
    """Dense input: one entry a cycle, but for the tile's beginning and end."""
    config = CONFIGS["square"]
    fields = dict.fromkeys(random_case(config, 0).fields, 0)
    fields |= {"kernel_height": 3, "steps": 4, "groups": 1, "in_height": 6, "row_pitch": 24, "out_height": 4}
    fields |= {
        "out_width": 4,
        "run": 12,
        "x_step": 4,
        "y_step": 1,
        "out_steps": 4,
        "out_groups": 1,
        "tiles": 1,
        "out_pitch": 4,
        "weight_pitch": 42,
    }
    case = Case(fields, Memories([(1 << 16) - 1] * 36, [0] * 42))
    (run,) = Bench(config).run([case])
    assert run.entries == 4 * 4 * 36
    assert run.cycles == run.entries + 14 - 1 + 5 + (6 + 2 * 3) + 7
