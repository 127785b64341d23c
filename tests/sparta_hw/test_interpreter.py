from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto

from sparta_hw.errors import CapacityError, InputFileError
from sparta_hw.interpreter import run
from sparta_hw.interpreter.attention import attention
from sparta_hw.interpreter.exact import exact_matmul
from sparta_hw.interpreter.selection import spike_cues, top_k
from sparta_hw.interpreter.spiking import convolution, hilif
from sparta_hw.ir import Graph, Kind, SparseAttention, SpikingConv, Value
from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE, FixedPoint

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
    x = np.array(drive).reshape(1, 4, 1, 1, 1)
    assert hilif(op, x).reshape(-1).tolist() == expected


def test_convolution_by_hand() -> None:
    frame = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 1]]).reshape(1, 1, 3, 3)
    weight = np.arange(1, 10).reshape(1, 1, 3, 3)
    assert convolution(frame, weight, 1, 0).item() == 1 + 3 + 5 + 7 + 8 + 9
    assert convolution(frame, weight, 2, 1).reshape(2, 2).tolist() == [[5 + 9, 5 + 7], [3 + 5 + 6, 1 + 4 + 5]]


def test_cues_by_hand() -> None:
    # Channel words, step 0 first: 0110 and 1001; the second token is silent.
    words = np.array([[[0, 1, 1, 0], [1, 0, 0, 1]], [[0] * 4, [0] * 4]])
    spikes = words.transpose(2, 1, 0).reshape(1, 4, 2, 1, 2)
    first, interval, burst, rate = spike_cues(spikes)
    assert first.tolist() == [[(1 + 0) * 8 // 2, (4 + 4) * 8 // 2]]
    assert interval.tolist() == [[(1 + 3) * 8 // 2, 4 * 8]]
    assert burst.tolist() == [[1 * 8 // 2, 0]]
    assert rate.tolist() == [[4 * 8 // 2, 0]]


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=12), st.data())
def test_top_k_prefers_the_lower_index(scores: list[int], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(scores)))
    expected = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:k]
    assert top_k(np.array([scores]), k).tolist() == [expected]


def scalar_attention(q: list, k: list, v: list, mask: list, shift: int) -> list:
    """The equations of ARCHITECTURE.md, one number at a time."""
    rows = []
    for query in q:
        z = [
            max(-2048, min(2047, (sum(a * b for a, b in zip(query, key, strict=True)) >> shift) + m))
            for key, m in zip(k, mask, strict=True)
        ]
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
@pytest.mark.parametrize(("k", "features"), [(1, 1), (3, 5), (16, 8)])
def test_attention_agrees_with_its_equations(k: int, features: int, shift: int) -> None:
    rng = np.random.default_rng(k + shift)
    value = Value("v", (k, features), FixedPoint(8, 4))
    op = SparseAttention(
        node="a", output=value, query=value, key=value, value=value, score=value, index=value, shift=shift
    )
    q, key, v = rng.integers(-128, 128, (3, 2, k, features))
    mask = rng.integers(-2048, 2048, (2, k))
    expected = [scalar_attention(*(part[n].tolist() for part in (q, key, v, mask)), shift) for n in range(2)]
    assert attention(op, q, key, v, mask).tolist() == expected


@given(st.sampled_from([1, 1 << 8, 1 << 20, 1 << 40]), st.integers(0, 99))
def test_matmul_is_exact_at_every_magnitude(limit: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(-limit, limit + 1, (3, 7)), rng.integers(-100, 100, (7, 2))
    expected = [
        [sum(int(a) * int(b) for a, b in zip(row, col, strict=True)) for col in right.T] for row in left
    ]
    assert exact_matmul(left, right).tolist() == expected


def onnx_results(model: ModelProto, spikes: np.ndarray, graph: Graph, k: int | None) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {"spikes": spikes.transpose(1, 0, 2, 3, 4).astype(np.float32)}
    feed |= {} if k is None else {"k": np.array([k])}
    names = [entry.name for entry in model.graph.output]
    results = dict(zip(names, session.run(names, feed), strict=True))
    values = {value.name: value for op in graph.operations for value in getattr(op, "outputs", (op.output,))}
    integers = {}
    for name, result in results.items():
        scaled = np.asarray(result, np.float64) * 2.0 ** values[name].type.frac
        integers[name] = scaled.swapaxes(0, 1) if name.startswith("stem") else scaled
    return integers


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [None, 1, 9])
def test_agrees_with_onnx_runtime(
    make_model: Callable, load: Callable, spikes: np.ndarray, seed: int, k: int | None
) -> None:
    model = make_model(seed)
    graph = load(model)
    results = run(graph, spikes, k)
    expected = onnx_results(model, spikes, graph, k)
    assert set(results) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(results[name], values, err_msg=name)
    assert 0.05 < results["stem.1"].mean() < 0.95


def test_one_flipped_weight_is_seen(graph: Graph, spikes: np.ndarray) -> None:
    before = run(graph, spikes)
    first, *rest = graph.operations
    assert isinstance(first, SpikingConv)
    weight = first.weight.copy()
    weight[0, 0, 1, 1] ^= 64
    after = run(replace(graph, operations=(replace(first, weight=weight), *rest)), spikes)
    assert any(np.any(before[name] != after[name]) for name in before)
    assert np.any(before["stem.0"] != after["stem.0"])


def test_splitting_the_batch_changes_nothing(
    graph: Graph, spikes: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(graph, spikes)
    monkeypatch.setattr("sparta_hw.interpreter.spiking._PATCH_ENTRIES", 1)
    for name, values in run(graph, spikes).items():
        np.testing.assert_array_equal(values, whole[name], err_msg=name)


def test_empty_batch(graph: Graph, spikes: np.ndarray) -> None:
    assert run(graph, spikes[:0])["logits"].shape == (0, 3)


def test_refuses_wrong_inputs(graph: Graph, spikes: np.ndarray) -> None:
    with pytest.raises(
        InputFileError, match=r"spikes: spikes have shape \(6, 5, 2, 6, 5\), not \(n, 5x2x6x6\)"
    ):
        run(graph, spikes[..., :-1])
    with pytest.raises(InputFileError, match="must be 0 or 1, not 0 to 2"):
        run(graph, spikes * 2)
    for k in (0, 10):
        with pytest.raises(CapacityError, match=f"K is {k}, the network has 9 tokens"):
            run(graph, spikes, k)
