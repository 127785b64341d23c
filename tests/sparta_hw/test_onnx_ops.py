"""Function bodies of the dialect's operators equal its equations, in ONNX Runtime and without PyTorch."""

from itertools import pairwise
from math import isqrt

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from sparta_hw import onnx_ops
from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE
from sparta_hw.onnx_ops import OPSET_VERSION, QUANT_DOMAIN, SPARTA_DOMAIN, functions

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
DOMAINS = {"Quant": QUANT_DOMAIN}
OPERATORS = (
    *("HILIF", "ThresholdOffset", "SpikeCues", "MSP", "PatchGroup", "CentreSurround", "TokenMLP", "DynamicK"),
    *("TopKTokens", "TokenGain", "TokenGate", "GatedRate", "GatherTokens", "SparseAttention", "Feedback"),
)


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
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
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


def real(integers: NDArray | list, frac: int) -> NDArray[np.float32]:
    """What a tensor of the file holds: integers on their grid."""
    return np.asarray(np.asarray(integers) / 2**frac, np.float32)


def whole(values: NDArray | list) -> NDArray[np.int64]:
    return np.asarray(values, np.int64)


def s12(value: int) -> int:
    return max(-2048, min(2047, value))


def test_every_operator_of_the_dialect_has_a_body() -> None:
    expected = {*((SPARTA_DOMAIN, name) for name in OPERATORS), (QUANT_DOMAIN, "Quant")}
    assert {(f.domain, f.name) for f in functions()} == expected


@pytest.mark.parametrize("states", [0, 1, 2])
@pytest.mark.parametrize(("reset", "v_reset"), [("soft", 0), ("hard", 0), ("hard", -5)])
def test_hilif(reset: str, v_reset: int, states: int) -> None:
    rng = np.random.default_rng(states)
    x = rng.integers(-900, 1200, (7, 2, 3, 2, 2))
    leak = rng.integers(1, 256, (3, 1, 1))
    theta = rng.integers(1, 400, (states, 3) if states else 3)
    limit = theta.reshape(-1, 3, 1, 1)
    expected, v = np.zeros_like(x), np.full_like(x[0], v_reset)
    for t in range(7):
        v = v + (((x[t] - v) * leak) >> 8)
        expected[t] = v >= limit
        v = np.where(v >= limit, v - limit if reset == "soft" else v_reset, v)
    (spikes,) = run(
        "HILIF",
        [real(x, 8), real(leak.reshape(-1), 8), real(theta, 8)],
        [FLOAT],
        frac=8,
        tau_bits=8,
        reset=reset,
        v_reset=v_reset / 256,
    )
    np.testing.assert_array_equal(spikes, expected)
    assert 0 < expected.mean() < 1


@pytest.mark.parametrize(("gain", "limit"), [(255, 4095), (1, 50), (64, 0)])
def test_thresholds_follow_the_state(gain: int, limit: int) -> None:
    theta = [1, 100, 32700]
    states = [0, 255, -1, -256, 1 << 24, -(1 << 24), 77_000, -77_001]
    expected = [
        [max(1, min(32767, t + max(-limit, min(limit, ((s >> 8) * gain) >> 8)))) for t in theta]
        for s in states
    ]
    (moved,) = run(
        "ThresholdOffset", [real(theta, 8), whole(states)], [FLOAT], frac=8, gain=gain, limit=limit
    )
    np.testing.assert_array_equal(moved * 256, expected)


def test_cues_of_known_words() -> None:
    words = [[0b00000001, 0b10010010], [0, 0], [0b11111111, 0], [0b00010000, 0b00100000]]
    spikes = np.zeros((8, 1, 2, 2, 2), np.float32)
    for token, channels in enumerate(words):
        for channel, word in enumerate(channels):
            for t in range(8):
                spikes[t, 0, channel, token // 2, token % 2] = word >> t & 1
    first, interval, burst, rate = (cue[0] * 8 for cue in run("SpikeCues", [spikes], [FLOAT] * 4, frac=3))
    np.testing.assert_array_equal(first, [(0 + 1) * 4, 64, (0 + 8) * 4, (4 + 5) * 4])
    np.testing.assert_array_equal(interval, [6 * 8 // 2, 64, 8, 64])
    np.testing.assert_array_equal(burst, [0, 0, 7 * 4, 0])
    np.testing.assert_array_equal(rate, [4 * 4, 0, 8 * 4, 2 * 4])


@pytest.mark.parametrize(("steps", "channels"), [(1, 3), (2, 1), (32, 7)])
def test_cues_of_any_length(steps: int, channels: int) -> None:
    rng = np.random.default_rng(steps)
    spikes = rng.random((steps, 3, channels, 2, 2)) < 0.4
    expected = np.zeros((4, 3, 4), np.int64)
    for sample, position in np.ndindex(3, 4):
        words = [
            [t for t in range(steps) if spikes[t, sample, c, position // 2, position % 2]]
            for c in range(channels)
        ]
        gaps = sum(max(len(word) - 1, 0) for word in words)
        span = sum(word[-1] - word[0] for word in words if word)
        pairs = sum(b - a == 1 for word in words for a, b in pairwise(word))
        expected[:, sample, position] = (
            sum(word[0] if word else steps for word in words) * 8 // channels,
            span * 8 // gaps if gaps else steps * 8,
            pairs * 8 // channels,
            sum(map(len, words)) * 8 // channels,
        )
    cues = run("SpikeCues", [spikes.astype(np.float32)], [FLOAT] * 4, frac=3)
    np.testing.assert_array_equal(np.stack(cues) * 8, expected)


def test_records_of_a_pooled_scale() -> None:
    rng = np.random.default_rng(3)
    cues, cells = rng.integers(0, 17, (4, 2, 3)), whole([0, 0, 1, 2, 1, 2])
    tables = rng.integers(-1024, 1024, (2, 4, 17))
    expected = [
        [[sum(table[c][cues[c, n, p]] for c in range(4)) for p in cells] for n in range(2)]
        for table in tables
    ]
    inputs = [*(real(cue, 3) for cue in cues), *(real(table, 4) for table in tables), cells]
    msp, temporal, first, interval, rate = run("MSP", inputs, [FLOAT] * 5, frac=3)
    np.testing.assert_array_equal([msp * 16, temporal * 16], expected)
    for got, cue in ((first, 0), (interval, 1), (rate, 3)):
        np.testing.assert_array_equal(got * 8, cues[cue][:, cells])


@pytest.mark.parametrize("tokens", [1, 3, 4, 7, 9])
def test_groups_repeat_the_best_tokens(tokens: int) -> None:
    rates = [[3, 8, 8, 0], [5, 5, 5, 5]]
    (group,) = run("PatchGroup", [real(rates, 3)], [INT64], tokens=tokens)
    orders = [[1, 2, 0, 3], [0, 1, 2, 3]]
    np.testing.assert_array_equal(group, [[o[i % min(tokens, 4)] for i in range(tokens)] for o in orders])


@pytest.mark.parametrize(("height", "width"), [(3, 4), (1, 5), (5, 1), (1, 1)])
@pytest.mark.parametrize("inhibition", [0, 33, 127])
def test_centre_surround(height: int, width: int, inhibition: int) -> None:
    rng = np.random.default_rng(inhibition)
    rate = rng.integers(1500, 2048, (2, height * width))
    rate[0, height * width // 2], rate[1] = 0, rate[1] >> 4
    group = rng.integers(0, height * width, (2, 6))
    expected = np.zeros((2, height * width), np.int64)
    for n, y, x in np.ndindex(2, height, width):
        near = [
            rate[n, (y + dy) * width + x + dx]
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
            if (dy or dx) and 0 <= y + dy < height and 0 <= x + dx < width
        ]
        expected[n, y * width + x] = s12(
            ((int(rate[n, y * width + x]) << 9) - inhibition * int(sum(near))) >> 9
        )
    attributes = {"height": height, "width": width, "inhibition": inhibition}
    (grouped,) = run("CentreSurround", [real(rate, 3), group], [FLOAT], **attributes)
    np.testing.assert_array_equal(grouped * 8, np.take_along_axis(expected, group, 1))
    identity = np.arange(height * width)[None]
    (spatial,) = run("CentreSurround", [real(rate, 3), identity], [FLOAT], **attributes)
    np.testing.assert_array_equal(spatial * 8, expected)


def mlp_inputs(rng: np.random.Generator, bias: int) -> list[NDArray]:
    return [
        rng.integers(-128, 128, (8, 3)).astype(np.int8),
        rng.integers(-bias, bias, 8).astype(np.int32),
        rng.integers(-128, 128, 8).astype(np.int8),
        rng.integers(-bias, bias, 1).astype(np.int32),
    ]


def mlp(parts: list[NDArray], x: list[int], hidden_shift: int, shift: int) -> int:
    weight, bias, output, constant = (part.astype(object) for part in parts)
    hidden = [
        max(0, min(2047, (sum(w * v for w, v in zip(row, x, strict=True)) + b) >> hidden_shift))
        for row, b in zip(weight, bias, strict=True)
    ]
    return s12((sum(v * h for v, h in zip(output, hidden, strict=True)) + constant[0]) >> shift)


@pytest.mark.parametrize(
    ("hidden_shift", "shift", "bias"), [(7, 8, 9000), (7, 3, 9000), (13, 13, 1 << 23), (4, 10, 1)]
)
def test_token_mlp(hidden_shift: int, shift: int, bias: int) -> None:
    rng = np.random.default_rng(shift)
    parts, x = mlp_inputs(rng, bias), rng.integers(-2048, 2048, (3, 2, 9))
    expected = [[mlp(parts, x[:, n, i].tolist(), hidden_shift, shift) for i in range(9)] for n in range(2)]
    fracs = [3, 4, 4]
    attributes = {"fracs": fracs, "hidden_shift": hidden_shift, "shift": shift, "frac": 4}
    inputs = [real(part, frac) for part, frac in zip(x, fracs, strict=True)]
    (y,) = run("TokenMLP", [*inputs, *parts], [FLOAT], **attributes)
    np.testing.assert_array_equal(y * 16, expected)
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize(("tokens", "request_k"), [(1, 0), (7, 0), (1024, 0), (7, 5)])
def test_dynamic_k(tokens: int, request_k: int) -> None:
    rng = np.random.default_rng(tokens)
    parts, table = mlp_inputs(rng, 500), rng.integers(1, tokens + 1, 256)
    high = np.array([3, 40, 768, 2048]).reshape(-1, 1)
    first, interval, rate = rng.integers(0, high, (3, 4, tokens))
    expected = []
    for f, i, r in zip(first.tolist(), interval.tolist(), rate.tolist(), strict=True):
        deviation = isqrt(tokens * sum(v * v for v in f) - sum(f) ** 2) // tokens
        y = mlp(parts, [sum(r) // tokens, deviation, sum(i) // tokens], 2, 9)
        expected.append([table[(y >> 4) + 128]])
    inputs = [*(real(cue, 3) for cue in (first, interval, rate)), whole([request_k]), *parts, table]
    own, chosen = run("DynamicK", inputs, [INT64] * 2, frac=3, hidden_shift=2, shift=9)
    np.testing.assert_array_equal(own, expected)
    np.testing.assert_array_equal(chosen, np.full((4, 1), request_k) if request_k else expected)


@pytest.mark.parametrize("k", [[3], [[1], [3]]])
def test_ranking_with_ties(k: list) -> None:
    score = real([[0, 6, 2, 6], [-1, -1, -1, -1]], 4)
    (index,) = run("TopKTokens", [score, whole(k)], [INT64])
    np.testing.assert_array_equal(index, [[1, 3, 2], [0, 1, 2]])


@pytest.mark.parametrize("timed", [False, True])
def test_gain_of_winners_below_their_own_k(timed: bool) -> None:
    winners, k = whole([[3, 1], [0, 2]]), whole([[1], [2]])
    msp = [[-2048, -1, 0, 31], [2047, 32, -33, 100]]
    timing = np.random.default_rng(0).integers(0, 256, 128) if timed else [64]
    chosen = [[33, 33, 33, 200], [200, 33, 200, 33]]
    expected = [
        [min(gain * (timing[(m >> 5) + 64] if timed else 64) >> 6, 255) for gain, m in zip(*row, strict=True)]
        for row in zip(chosen, msp, strict=True)
    ]
    inputs = [winners, k, real(msp, 4), real(200, 6), real(33, 6), real(timing, 6)]
    (gain,) = run("TokenGain", inputs, [FLOAT])
    np.testing.assert_array_equal(gain * 64, expected)
    (same,) = run("TokenGain", [winners, whole([2]), *inputs[2:]], [FLOAT])
    assert (same[0] != gain[0]).tolist() == [False, same[0][1] != gain[0][1], False, False]


@pytest.mark.parametrize(("signed", "limit"), [(0, 255), (1, 127)])
def test_gate_of_grouped_tokens_of_a_pooled_scale(signed: int, limit: int) -> None:
    rng = np.random.default_rng(signed)
    spikes = rng.random((20, 2, 3, 1, 2)) < 0.7
    cells, group, gain = whole([0, 0, 1, 1]), whole([[3, 0, 3], [1, 2, 0]]), rng.integers(0, 256, (2, 3))
    count = spikes.sum(0)[:, :, 0]
    expected = [
        [[min(count[n, c, cells[group[n, i]]] * gain[n, i] >> 2, limit) for c in range(3)] for i in range(3)]
        for n in range(2)
    ]
    inputs = [spikes.astype(np.float32), cells, real(gain, 6), group]
    (tokens,) = run("TokenGate", inputs, [FLOAT], frac=4, bits=8, signed=signed)
    np.testing.assert_array_equal(tokens * 16, expected)
    assert np.max(expected) == limit
    (alike,) = run("TokenGate", [*inputs[:3], group[:1]], [FLOAT], frac=4, bits=8, signed=signed)
    np.testing.assert_array_equal(alike[0], tokens[0])


def test_a_wrong_body_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [body.replace("floored = Floor (", "floored = Ceil (") for body in onnx_ops._SPARTA_BODIES]
    monkeypatch.setattr(onnx_ops, "_SPARTA_BODIES", bodies)
    for check in (
        test_gated_rate,
        lambda: test_token_mlp(7, 8, 9000),
        lambda: test_centre_surround(3, 4, 33),
    ):
        with pytest.raises(AssertionError, match="Mismatched elements"):
            check()


def test_gated_rate() -> None:
    rate, gain = [[0, 7, 768, 2047]], [[255, 63, 65, 255]]
    (gated,) = run("GatedRate", [real(rate, 3), real(gain, 6)], [FLOAT])
    np.testing.assert_array_equal(gated * 8, [[0, 6, 780, 2047]])


def test_gather() -> None:
    tokens = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    (selected,) = run("GatherTokens", [tokens, whole([[3, 0], [1, 2]])], [FLOAT])
    np.testing.assert_array_equal(selected, [tokens[0, [3, 0]], tokens[1, [1, 2]]])


def head(q: NDArray, k: NDArray, v: NDArray, mask: NDArray, sharpness: NDArray, shift: int) -> NDArray:
    """Attention of one head of one sample."""
    dots = np.clip((q @ k.T) >> shift, -2048, 2047)
    z = np.clip((dots * sharpness[:, None] >> 6) + mask, -2048, 2047)
    distance = z.max(1, keepdims=True) - z
    p = np.array(EXP_TABLE)[distance & 15] >> np.minimum(distance >> 4, 15)
    total = p.sum(1, keepdims=True)
    e = np.array([[int(s).bit_length() - 1] for s in total[:, 0]])
    r = np.array(RECIPROCAL_TABLE)[((total << 7) >> e) - 128]
    return np.clip(((p @ v) * r) >> (e + 8), -128, 127)


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("temperate", [False, True])
@pytest.mark.parametrize(("tokens", "ks"), [(1, [1, 1]), (5, [5, 2]), (64, [1, 64]), (300, [300, 299])])
def test_attention(tokens: int, ks: list[int], heads: int, temperate: bool) -> None:
    rng = np.random.default_rng(tokens)
    q, k, v = rng.integers(-128, 128, (3, 2, tokens, 8)) >> np.array([0, 0, 1]).reshape(-1, 1, 1, 1)
    v[0] = np.abs(v[0]) // 2 + 64
    q[:, 0] = 0
    msp, temporal = rng.integers(-60, 60, (2, 2, tokens + 3))
    msp[0] = 0
    msp[1], temporal[:, 1] = msp[1] % 9 - 2048, [-2048, 2047]
    v[1, 0] = -128
    index = np.stack([rng.permutation(tokens + 3)[:tokens] for _ in range(2)])
    temperature = rng.integers(0, 256, 128) if temperate else np.array([64])
    expected = np.zeros((2, tokens, 8), np.int64)
    for n, own in enumerate(ks):
        ranks = index[n, :own]
        bucket = (temporal[n, ranks] >> 5) + 64
        sharpness = temperature[bucket] if temperate else np.full(own, 64)
        for h in range(heads):
            part = slice(h * 8 // heads, (h + 1) * 8 // heads)
            rows = (values[n, :own, part] for values in (q, k, v))
            expected[n, :own, part] = head(*rows, msp[n, ranks], sharpness, 3)
    inputs = [real(q, 4), real(k, 3), real(v, 5), real(msp, 4), real(temporal, 4), index]
    (attention,) = run(
        "SparseAttention",
        [*inputs, whole(ks)[:, None], real(temperature, 6)],
        [FLOAT],
        heads=heads,
        frac_query=4,
        frac_key=3,
        frac_value=5,
        score_frac=4,
    )
    np.testing.assert_array_equal(attention * 32, expected)


@pytest.mark.parametrize("states", [[0], [-(1 << 24), 12345]])
def test_feedback(states: list[int]) -> None:
    rng = np.random.default_rng(1)
    attention = rng.integers(-128, 128, (2, 40, 60))
    attention[1] //= 9
    for activity_shift, rate_shift, target in ((3, 0, 900), (0, 0, 65535), (0, 15, 0), (0, 5, 65535)):
        expected = []
        for n in range(2):
            a = min(int(np.abs(attention[n]).sum()) >> activity_shift, 65535)
            state = states[n % len(states)]
            expected.append(state + ((((a - target) << 8) - state) >> rate_shift))
        (after,) = run(
            "Feedback",
            [whole(states), real(attention, 4)],
            [INT64],
            frac=4,
            activity_shift=activity_shift,
            rate_shift=rate_shift,
            target=target,
        )
        np.testing.assert_array_equal(after, expected)


@pytest.mark.parametrize(("signed", "low", "high"), [(1, -128, 127), (0, 0, 255)])
def test_quant_floors_and_saturates(signed: int, low: int, high: int) -> None:
    x = np.array([-1000, -0.01, 0, 0.49, 3.99, 1000], np.float32)
    constants = [np.array(value, np.float32) for value in (0.25, 0, 8)]
    (y,) = run("Quant", [x, *constants], [FLOAT], signed=signed, narrow=0, rounding_mode="FLOOR")
    np.testing.assert_array_equal(y * 4, np.clip([-4000, -1, 0, 1, 15, 4000], low, high))
