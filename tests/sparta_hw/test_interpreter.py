from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numba.core.caching import CacheImpl
from numba.core.dispatcher import Dispatcher

from sparta_hw.errors import CapacityError, InputFileError
from sparta_hw.interpreter import run, run_stream
from sparta_hw.interpreter.attention import attention
from sparta_hw.interpreter.compiled import compiled
from sparta_hw.interpreter.exact import exact_matmul
from sparta_hw.interpreter.frames import by_step
from sparta_hw.interpreter.hilif import hilif
from sparta_hw.interpreter.spiking import convolution, spiking_conv
from sparta_hw.ir import Kind, SparseAttention, SpikingConv, ThresholdFeedback, Value
from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE, FixedPoint
from tests.sparta_hw.graphs import random_graph, random_input

SPIKE = FixedPoint(1, 0, signed=False)


def neuron(soft: bool, leak: int = 128, threshold: int = 10, v_reset: int = 0) -> SpikingConv:
    return SpikingConv(
        node="n",
        output=Value("s", (4, 1, 1, 1), SPIKE, Kind.SPIKES),
        input=Value("x", (4, 1, 1, 1), SPIKE, Kind.SPIKES),
        weight=np.ones((1, 1, 1, 1), np.int64),
        bias=np.zeros(1, np.int64),
        shift=0,
        stride=1,
        pad=0,
        leak=np.array([leak]),
        threshold=np.array([threshold]),
        soft_reset=soft,
        v_reset=v_reset,
        membrane=FixedPoint(16, 8),
    )


@pytest.mark.parametrize(
    ("op", "drive", "expected"),
    [
        # v: 8, 12 -> spike -> 0, 8, 12 -> spike
        (neuron(soft=False), [16, 16, 16, 16], [0, 1, 0, 1]),
        # v: 8, 12 -> spike -> 2, 9, 12 -> spike
        (neuron(soft=True), [16, 16, 16, 16], [0, 1, 0, 1]),
        # v: 15 -> 5, 12 -> 2, 11 -> 1, 10 -> spike, every step
        (neuron(soft=True), [30, 20, 20, 20], [1, 1, 1, 1]),
        # floor: (-1 * 128) >> 8 = -1, never 0: v = -1, -1, -1, 9 + -1 >= 10 is false
        (neuron(soft=False), [-1, -1, -1, 20], [0, 0, 0, 0]),
        # from v_reset = -20: v = -2, 7, 11 -> -20, -2
        (neuron(soft=False, v_reset=-20), [16, 16, 16, 16], [0, 0, 1, 0]),
    ],
)
def test_hilif_by_hand(op: SpikingConv, drive: list[int], expected: list[int]) -> None:
    sums = np.array(drive, np.int32).reshape(4, 1, 1, 1, 1)
    membrane, spikes = np.full((1, 1, 1, 1), op.v_reset, np.int32), np.empty((4, 1, 1, 1, 1), np.uint8)
    hilif(op, sums, np.zeros(1, np.int64), membrane, spikes)
    assert spikes.reshape(-1).tolist() == expected


def scalar_hilif(
    op: SpikingConv, sums: list[int], channel: int, offset: int, v: int
) -> tuple[list[int], int]:
    """The equations of ARCHITECTURE.md, one neuron: its spikes and its last membrane."""
    theta = max(1, min(32767, int(op.threshold[channel]) + offset))
    spikes = []
    for total in sums:
        x = max(-32768, min(32767, (total + int(op.bias[channel])) >> op.shift))
        v += ((x - v) * int(op.leak[channel])) >> 8
        spikes.append(int(v >= theta))
        if spikes[-1]:
            v = v - theta if op.soft_reset else op.v_reset
    return spikes, v


@settings(deadline=None)
@given(
    st.sampled_from([1 << 10, 1 << 17, (1 << 30) - 1, (1 << 40) - 1]),
    st.sampled_from([1, 7, 31]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_hilif_agrees_with_its_equations(top: int, shift: int, soft: bool, seed: int) -> None:
    """Sums of 32 and 64 bits up to the largest, saturating currents, extreme parameters, moved thresholds."""
    rng = np.random.default_rng(seed)
    steps, n, height, width, channels = rng.integers(1, 6, 5)
    kind = np.int32 if top < 1 << 30 else np.int64
    sums = rng.integers(-top, top + 1, (steps, n, height, width, channels)).astype(kind)
    op = replace(
        neuron(soft, v_reset=0 if soft else int(rng.integers(-32768, 32768))),
        shift=shift,
        bias=rng.integers(-(1 << 23), 1 << 23, channels),
        leak=rng.choice([1, 128, 255], channels),
        threshold=rng.choice([1, 100, 32767], channels),
    )
    offset = rng.integers(-40000, 40000, n)
    before = rng.integers(-32768, 32768, (n, height, width, channels)).astype(np.int32)
    after, spikes = before.copy(), np.empty(sums.shape, np.uint8)
    hilif(op, sums, offset, after, spikes)
    for place in np.ndindex(before.shape):
        drive, start = sums[:, *place].tolist(), int(before[place])
        expected = scalar_hilif(op, drive, place[-1], int(offset[place[0]]), start)
        assert (spikes[:, *place].tolist(), after[place]) == expected


def test_compiled_loops_need_no_place_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="no locator"):
        njit(cache=True)(scalar_sum)
    assert compiled(scalar_sum)(3) == 6


@pytest.mark.parametrize("name", ["attention", "cues", "hilif"])
def test_compiled_loops_use_nothing_that_could_change_behind_their_back(name: str) -> None:
    module = vars(import_module(f"sparta_hw.interpreter.{name}"))
    loops = [value for value in module.values() if isinstance(value, Dispatcher)]
    used = {n: module[n] for loop in loops for n in loop.py_func.__code__.co_names if n in module}
    assert loops
    assert all(value is np or value in loops for value in used.values()), used


def scalar_sum(n: int) -> int:
    total = 0
    for i in range(n + 1):
        total += i
    return total


def test_convolution_by_hand() -> None:
    frame = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 1]], np.uint8).reshape(1, 1, 1, 3, 3)
    whole = replace(neuron(soft=True), weight=np.arange(1, 10).reshape(1, 1, 3, 3))
    assert convolution(whole, by_step(frame)[0]).item() == 1 + 3 + 5 + 7 + 8 + 9
    sums = convolution(replace(whole, stride=2), by_step(frame, pad=1)[0])
    assert sums.reshape(2, 2).tolist() == [[5 + 9, 5 + 7], [3 + 5 + 6, 1 + 4 + 5]]


@pytest.mark.parametrize("seed", range(20))
def test_convolution_agrees_with_its_definition(seed: int) -> None:
    """One window at a time, of frames in either order in memory."""
    rng = np.random.default_rng(seed)
    (inputs, outputs), kernel = rng.integers(1, 6, 2), rng.integers(1, 4, 2)
    stride, pad = int(rng.integers(1, 4)), int(rng.integers(0, 3))
    height, width = rng.integers(3, 8, 2)
    frames = rng.integers(0, 2, (2, 3, inputs, height, width), np.uint8)
    weight = rng.integers(-128, 128, (outputs, inputs, *kernel))
    op = replace(neuron(soft=True), weight=weight, stride=stride)

    padded = np.pad(frames, ((0, 0), (0, 0), (0, 0), (pad, pad), (pad, pad))).astype(np.int64)
    rows, columns = (
        range(0, size - extent + 1, stride) for size, extent in zip(padded.shape[3:], kernel, strict=True)
    )
    expected = [
        [
            [
                np.sum(weight * padded[n, t, :, r : r + kernel[0], c : c + kernel[1]], (1, 2, 3))
                for c in columns
            ]
            for r in rows
        ]
        for t in range(3)
        for n in range(2)
    ]
    in_order = by_step(frames).transpose(1, 0, 4, 2, 3)
    for values in (frames, frames.astype(np.int64), in_order):
        ordered = by_step(values, pad)
        sums = convolution(op, ordered.reshape(-1, *ordered.shape[2:]))
        np.testing.assert_array_equal(sums, expected)


@pytest.mark.parametrize(
    ("state", "spikes"),
    [(0, 1), (4 << 8, 0), (-(4 << 8), 1), (1 << 20, 0)],
)
def test_feedback_moves_the_threshold(state: int, spikes: int) -> None:
    # One step, x = 12, K = 255: v = 11; theta = 10 + clamp((state >> 8) * 128 >> 8, -3, 3).
    op = replace(
        neuron(soft=False, leak=255),
        output=Value("s", (1, 1, 1, 1), SPIKE, Kind.SPIKES),
        bias=np.array([12]),
        feedback=ThresholdFeedback(gain=128, limit=3),
    )
    result = spiking_conv(op, np.zeros((1, 1, 1, 1, 1), np.int64), np.array([state]))
    assert result.item() == spikes


def test_direct_coding_repeats_the_current() -> None:
    op = replace(neuron(soft=True), input=Value("pixels", (1, 1, 1), FixedPoint(8, 0, signed=False)))
    image = np.array([20]).reshape(1, 1, 1, 1)
    # v: 10 -> spike -> 0, and again in every step.
    assert op.direct
    assert spiking_conv(op, image, np.zeros(1, np.int64)).reshape(-1).tolist() == [1, 1, 1, 1]


def scalar_attention(q: list, k: list, v: list, mask: list, sharpness: list, shift: int) -> list:
    """The equations of ARCHITECTURE.md, one number at a time."""
    rows = []

    def s12(number: int) -> int:
        return max(-2048, min(2047, number))

    for query, g in zip(q, sharpness, strict=True):
        dots = [s12(sum(a * b for a, b in zip(query, key, strict=True)) >> shift) for key in k]
        z = [s12((dot * g >> 6) + m) for dot, m in zip(dots, mask, strict=True)]
        p = [EXP_TABLE[(max(z) - s) & 15] >> min((max(z) - s) >> 4, 15) for s in z]
        total = sum(p)
        e = total.bit_length() - 1
        r = RECIPROCAL_TABLE[((total << 7) >> e) - 128]
        rows.append(
            [
                max(-128, min(127, (sum(w * value[d] for w, value in zip(p, v, strict=True)) * r) >> (e + 8)))
                for d in range(len(v[0]))
            ]
        )
    return rows


@pytest.mark.parametrize("shift", [0, 4, 9])
@pytest.mark.parametrize(("k", "features", "heads"), [(1, 1, 1), (3, 5, 1), (16, 8, 2)])
def test_attention_agrees_with_its_equations(k: int, features: int, heads: int, shift: int) -> None:
    rng = np.random.default_rng(k + shift)
    value = Value("v", (k, features), FixedPoint(8, 4))
    op = SparseAttention(
        node="a",
        output=value,
        query=value,
        key=value,
        value=value,
        msp=value,
        temporal=value,
        index=value,
        group=None,
        heads=heads,
        shift=shift,
        temperature=rng.integers(0, 256, 128),
    )
    q, key, v = rng.integers(-128, 128, (3, 2, k, features))
    msp, temporal = rng.integers(-2048, 2048, (2, 2, k))
    ranks = np.array([k, (k + 1) // 2])
    result = attention(op, (q, key, v), msp, temporal, ranks)
    assert op.temperature is not None
    sharpness = op.temperature[(temporal >> 5) + 64]
    for n, own in enumerate(ranks):
        for head in np.split(np.arange(features), heads):
            parts = [part[n, :own, head].T.tolist() for part in (q, key, v)]
            expected = scalar_attention(*parts, msp[n, :own].tolist(), sharpness[n, :own].tolist(), shift)
            assert result[n, :own, head].T.tolist() == expected
        assert not result[n, own:].any()


@settings(deadline=None)
@given(st.sampled_from([1, 1 << 8, 1 << 20, 1 << 40]), st.integers(0, 99))
def test_matmul_is_exact_at_every_magnitude(limit: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(-limit, limit + 1, (3, 7)), rng.integers(-100, 100, (7, 2))
    assert exact_matmul(left, right).tolist() == scalar_product(left, right)


@settings(deadline=None)
@given(st.sampled_from([1, 64, 255]), st.booleans(), st.integers(0, 99))
def test_matmul_of_bytes_is_exact_with_and_without_onnx_runtime(top: int, installed: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, top + 1, (5, 70), np.uint8), rng.integers(-127, 128, (70, 9))
    left[0], right[:, 0], right[:, 1] = top, 127, -127
    with pytest.MonkeyPatch.context() as patch:
        if not installed:
            patch.setattr("sparta_hw.interpreter.exact.byte_product", lambda left, right: None)
        assert exact_matmul(left, right, top).tolist() == scalar_product(left, right)


def test_products_of_bytes_cannot_saturate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some processors add two products in 16 bits: 2 * 129 * 127 fits, 2 * 130 * 127 does not."""
    seen = []
    monkeypatch.setattr(
        "sparta_hw.interpreter.exact.byte_product", lambda left, right: seen.append(left.max())
    )
    right = np.full((4, 1), 127)
    for top, weight in ((129, right), (130, right), (1, right + 1), (1, -right - 1), (1, right)):
        left = np.full((1, 4), top, np.uint8)
        assert exact_matmul(left, weight).item() == 4 * top * weight[0, 0]
    assert seen == [129, 1, 1]


def scalar_product(left: np.ndarray, right: np.ndarray) -> list[list[int]]:
    return [[sum(int(a) * int(b) for a, b in zip(row, col, strict=True)) for col in right.T] for row in left]


def test_weights_cannot_change_once_they_were_used() -> None:
    graph = random_graph(0, coding="spikes")
    run(graph, random_input(graph, 0, 1))
    first = graph.operations[0]
    assert isinstance(first, SpikingConv)
    with pytest.raises(ValueError, match="read-only"):
        first.weight[0] = 0


def test_one_flipped_weight_is_seen() -> None:
    graph = random_graph(0, coding="spikes")
    inputs = random_input(graph, 0, 4)
    before = run(graph, inputs)
    first, *rest = graph.operations
    assert isinstance(first, SpikingConv)
    weight = first.weight.copy()
    weight[0] ^= 64
    after = run(replace(graph, operations=(replace(first, weight=weight), *rest)), inputs)
    assert np.any(before["stem.0"] != after["stem.0"])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("block", [1, 200])
def test_splitting_samples_and_steps_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, seed: int, block: int
) -> None:
    graph = random_graph(seed)
    inputs = random_input(graph, seed, 4)
    whole = run(graph, inputs)
    monkeypatch.setattr("sparta_hw.interpreter.spiking._BLOCK", block)
    for name, values in run(graph, inputs).items():
        np.testing.assert_array_equal(values, whole[name], err_msg=name)


@pytest.mark.parametrize("seed", range(8))
def test_a_sample_does_not_depend_on_its_batch(seed: int) -> None:
    graph = random_graph(seed, dynamic_k=True)
    inputs = random_input(graph, seed, 5)
    whole = run(graph, inputs, 0)
    for n in range(len(inputs)):
        alone = run(graph, inputs[n : n + 1], 0)
        for name, values in alone.items():
            part = whole[name][n][tuple(slice(size) for size in values.shape[1:])]
            np.testing.assert_array_equal(values[0], part, err_msg=name)


def test_a_stream_carries_the_state_of_the_feedback_controller() -> None:
    graph = random_graph(2, feedback=True)
    inputs = random_input(graph, 2, 3)
    stream = run_stream(graph, inputs)
    state = np.zeros(1, np.int64)
    for n in range(len(inputs)):
        alone = run(graph, inputs[n : n + 1], state=state)
        state = alone["next_state"]
        assert stream["logits"][n].tolist() == alone["logits"][0].tolist()
        assert stream["next_state"][n] == state[0]
    assert stream["next_state"].any()


def test_empty_batch() -> None:
    graph = random_graph(3)
    assert len(run(graph, random_input(graph, 3, 1)[:0])["logits"]) == 0


def test_refuses_wrong_inputs() -> None:
    graph = random_graph(4, coding="spikes", dynamic_k=False)
    inputs = random_input(graph, 4, 2)
    with pytest.raises(InputFileError, match=r"the input has shape .*, not \(n, "):
        run(graph, inputs[..., :-1])
    with pytest.raises(InputFileError, match="values must be 0 or 1, not 0 to 2"):
        run(graph, inputs * 2)
    for k in (0, graph.tokens + 1):
        with pytest.raises(
            CapacityError, match=f"K is {k}, the network has {graph.tokens} tokens: use 1 to that$"
        ):
            run(graph, inputs, k)
