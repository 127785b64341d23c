"""Function bodies of the dialect's operators equal its equations, in ONNX Runtime and without PyTorch."""

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE
from sparta_hw.onnx_ops import OPSET_VERSION, QUANT_DOMAIN, SPARTA_DOMAIN, functions

TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}
DOMAINS = {"Quant": QUANT_DOMAIN}


def run(
    op: str, inputs: list[NDArray], outputs: list[TensorProto.DataType], **attributes: object
) -> list[NDArray]:
    """Execute one operator by its function body."""
    domain = DOMAINS.get(op, SPARTA_DOMAIN)
    names = [f"i{n}" for n in range(len(inputs))]
    results = [f"o{n}" for n in range(len(outputs))]
    graph = helper.make_graph(
        [helper.make_node(op, names, results, domain=domain, **attributes)],
        "one",
        [
            helper.make_tensor_value_info(name, TYPES[value.dtype], value.shape)
            for name, value in zip(names, inputs, strict=True)
        ],
        [
            helper.make_tensor_value_info(name, kind, None)
            for name, kind in zip(results, outputs, strict=True)
        ],
    )
    opsets = [
        helper.make_opsetid(*entry) for entry in (("", OPSET_VERSION), (SPARTA_DOMAIN, 1), (QUANT_DOMAIN, 1))
    ]
    model = helper.make_model(graph, functions=functions(), opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(results, dict(zip(names, inputs, strict=True)))


def test_every_operator_of_the_dialect_has_a_body() -> None:
    assert {(f.domain, f.name) for f in functions()} == {
        *((SPARTA_DOMAIN, name) for name in ("HILIF", "SpikeCues", "TokenScore", "TopKTokens", "TokenGate")),
        *((SPARTA_DOMAIN, name) for name in ("GatherTokens", "SparseAttention")),
        (QUANT_DOMAIN, "Quant"),
    }


@pytest.mark.parametrize(("reset", "v_reset"), [("soft", 0), ("hard", 0), ("hard", -5)])
def test_hilif(reset: str, v_reset: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-900, 1200, (7, 2, 3, 2, 2))
    leak, theta = rng.integers(1, 256, (3, 1, 1)), rng.integers(1, 400, (3, 1, 1))
    expected, v = np.zeros_like(x), np.full_like(x[0], v_reset)
    for t in range(7):
        v = v + (((x[t] - v) * leak) >> 8)
        expected[t] = v >= theta
        v = np.where(v >= theta, v - theta if reset == "soft" else v_reset, v)
    real = [x / 256, leak.reshape(-1) / 256, theta.reshape(-1) / 256]
    (spikes,) = run(
        "HILIF",
        [value.astype(np.float32) for value in real],
        [TensorProto.FLOAT],
        frac=8,
        tau_bits=8,
        reset=reset,
        v_reset=v_reset / 256,
    )
    np.testing.assert_array_equal(spikes, expected)
    assert 0 < expected.mean() < 1


def test_cues_of_known_words() -> None:
    words = [[0b00000001, 0b10010010], [0, 0], [0b11111111, 0], [0b00010000, 0b00100000]]
    spikes = np.zeros((8, 1, 2, 2, 2), np.float32)
    for token, channels in enumerate(words):
        for channel, word in enumerate(channels):
            for t in range(8):
                spikes[t, 0, channel, token // 2, token % 2] = word >> t & 1
    first, interval, burst, rate = (
        cue[0] * 8 for cue in run("SpikeCues", [spikes], [TensorProto.FLOAT] * 4, frac=3)
    )
    np.testing.assert_array_equal(first, [(0 + 1) * 4, 64, (0 + 8) * 4, (4 + 5) * 4])
    np.testing.assert_array_equal(interval, [6 * 8 // 2, 64, 8, 64])
    np.testing.assert_array_equal(burst, [0, 0, 7 * 4, 0])
    np.testing.assert_array_equal(rate, [4 * 4, 0, 8 * 4, 2 * 4])


def test_score_and_ranking_with_ties() -> None:
    cues = [np.array([[0, 1, 2, 1]], np.float32) / 8 for _ in range(4)]
    tables = [np.array([0, 16 * n, 8], np.float32) / 16 for n in range(4)]
    (score,) = run("TokenScore", [*cues, *tables], [TensorProto.FLOAT], frac=3)
    np.testing.assert_array_equal(score, [[0, 6, 2, 6]])
    (index,) = run("TopKTokens", [score, np.array([3], np.int64)], [TensorProto.INT64])
    np.testing.assert_array_equal(index, [[1, 3, 2]])


def test_gate_and_gather() -> None:
    spikes = np.zeros((8, 1, 2, 1, 3), np.float32)
    spikes[:3, 0, 0, 0, 1] = 1
    spikes[:, 0, 1] = 1
    index = np.array([[1]], np.int64)
    gains = [np.array(255 / 64, np.float32), np.array(33 / 64, np.float32)]
    (tokens,) = run("TokenGate", [spikes, index, *gains], [TensorProto.FLOAT], frac=4, bits=8)
    np.testing.assert_array_equal(tokens[0] * 16, [[0, 66], [3 * 255 // 4, 255], [0, 66]])
    (selected,) = run("GatherTokens", [tokens, index], [TensorProto.FLOAT])
    np.testing.assert_array_equal(selected, tokens[:, 1:2])


@pytest.mark.parametrize("tokens", [1, 5, 64])
def test_attention_with_sums_beyond_float32(tokens: int) -> None:
    rng = np.random.default_rng(tokens)
    q, k = rng.integers(-128, 128, (2, 1, tokens, 8))
    q[:, 0] = 0
    v = rng.integers(100, 128, (1, tokens, 8))
    score, index = np.zeros((1, tokens), np.int64), rng.permutation(tokens)[None]
    z = np.clip((q[0] @ k[0].T) >> 4, -2048, 2047)
    distance = z.max(1, keepdims=True) - z
    p = np.array(EXP_TABLE)[distance & 15] >> np.minimum(distance >> 4, 15)
    total = p.sum(1, keepdims=True)
    e = np.floor(np.log2(total)).astype(np.int64)
    r = np.array(RECIPROCAL_TABLE)[((total << 7) >> e) - 128]
    expected = np.clip(((p @ v[0]) * r) >> (e + 8), -128, 127)
    real = [(value / 16).astype(np.float32) for value in (q, k, v, score)]
    (attention,) = run(
        "SparseAttention",
        [*real, index],
        [TensorProto.FLOAT],
        frac_query=4,
        frac_key=4,
        frac_value=4,
        score_frac=4,
    )
    np.testing.assert_array_equal(attention[0] * 16, expected)


@pytest.mark.parametrize(("signed", "low", "high"), [(1, -128, 127), (0, 0, 255)])
def test_quant_floors_and_saturates(signed: int, low: int, high: int) -> None:
    x = np.array([-1000, -0.01, 0, 0.49, 3.99, 1000], np.float32)
    constants = [np.array(value, np.float32) for value in (0.25, 0, 8)]
    (y,) = run("Quant", [x, *constants], [TensorProto.FLOAT], signed=signed, narrow=0, rounding_mode="FLOOR")
    np.testing.assert_array_equal(y * 4, np.clip([-4000, -1, 0, 1, 15, 4000], low, high))
