"""The selection's equations (ARCHITECTURE.md, "Numbers"), one number at a time."""

from itertools import pairwise
from math import isqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparta_hw.interpreter.attention import next_state
from sparta_hw.interpreter.cues import spike_cues
from sparta_hw.interpreter.selection import centre_surround, dynamic_k, patch_group, rank_tokens, token_mlp
from sparta_hw.ir import CentreSurround, DynamicK, FeedbackController, TokenMLP, Value
from sparta_hw.numerics import FixedPoint

ANY = Value("v", (1,), FixedPoint(12, 4))


def mlp(seed: int) -> TokenMLP:
    rng = np.random.default_rng(seed)
    return TokenMLP(
        hidden_weight=rng.integers(-128, 128, (8, 3)),
        hidden_bias=rng.integers(-50000, 50000, 8),
        hidden_shift=6,
        weight=rng.integers(-128, 128, 8),
        bias=int(rng.integers(-50000, 50000)),
        shift=7,
    )


def scalar_mlp(m: TokenMLP, x: list[int]) -> int:
    hidden = []
    for weights, bias in zip(m.hidden_weight.tolist(), m.hidden_bias.tolist(), strict=True):
        total = sum(w * value for w, value in zip(weights, x, strict=True)) + bias
        hidden.append(max(0, min(2047, total >> m.hidden_shift)))
    total = sum(v * h for v, h in zip(m.weight.tolist(), hidden, strict=True)) + m.bias
    return max(-2048, min(2047, total >> m.shift))


def test_cues_by_hand() -> None:
    # Channel words, step 0 first: 0110 and 1001; the second token is silent.
    words = np.array([[[0, 1, 1, 0], [1, 0, 0, 1]], [[0] * 4, [0] * 4]])
    spikes = words.transpose(2, 1, 0).reshape(1, 4, 2, 1, 2)
    first, interval, burst, rate = spike_cues(spikes)
    assert first.tolist() == [[(1 + 0) * 8 // 2, (4 + 4) * 8 // 2]]
    assert interval.tolist() == [[(1 + 3) * 8 // 2, 4 * 8]]
    assert burst.tolist() == [[1 * 8 // 2, 0]]
    assert rate.tolist() == [[4 * 8 // 2, 0]]


@pytest.mark.parametrize("steps", [1, 2, 7, 32, 255])
def test_cues_agree_with_their_definition(steps: int) -> None:
    spikes = (np.random.default_rng(steps).random((2, steps, 3, 2, 2)) < 4 / steps).astype(np.uint8)
    spikes[1, :, :, 0], spikes[1, :, :, 1] = 0, 1
    found = np.stack(spike_cues(spikes), axis=-1).reshape(2, 2, 2, 4)
    for n, row, column in np.ndindex(2, 2, 2):
        words = [np.flatnonzero(word).tolist() for word in spikes[n, :, :, row, column].T]
        first = sum(word[0] if word else steps for word in words)
        count, gaps = sum(map(len, words)), sum(max(len(word) - 1, 0) for word in words)
        pairs = sum(b - a == 1 for word in words for a, b in pairwise(word))
        span = sum(word[-1] - word[0] for word in words if word)
        interval = (span << 3) // gaps if gaps else steps << 3
        expected = [(first << 3) // 3, interval, (pairs << 3) // 3, (count << 3) // 3]
        assert found[n, row, column].tolist() == expected


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=12))
def test_ranking_prefers_the_lower_index(scores: list[int]) -> None:
    expected = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    assert rank_tokens(np.array([scores])).tolist() == [expected]


def test_groups_select_or_duplicate_the_busiest() -> None:
    rate = np.array([[3, 9, 9, 0]])
    assert patch_group(rate, 2).tolist() == [[1, 2]]
    assert patch_group(rate, 4).tolist() == [[1, 2, 0, 3]]
    assert patch_group(rate, 6).tolist() == [[1, 2, 0, 3, 1, 2]]


@pytest.mark.parametrize("seed", range(5))
def test_mlp(seed: int) -> None:
    x = np.random.default_rng(seed).integers(-2048, 2048, (3, 50))
    expected = [scalar_mlp(mlp(seed), column) for column in x.T.tolist()]
    assert token_mlp(mlp(seed), *x).tolist() == expected


def test_centre_surround_by_hand() -> None:
    op = CentreSurround(node="c", output=ANY, rate=ANY, group=None, height=2, width=3, inhibition=64)
    rate = np.array([[8, 16, 0, 0, 24, 0]])
    # Token 0: 8 - (16 + 0 + 24) / 8 = 3; token 1: 16 - 32 / 8 = 12; token 2: -(16 + 24) / 8 = -5.
    assert centre_surround(op, rate, None)[0, :3].tolist() == [3, 12, -5]
    assert centre_surround(op, rate, np.array([[2, 2, 0]])).tolist() == [[-5, -5, 3]]


@pytest.mark.parametrize("seed", range(5))
def test_dynamic_k(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, interval, rate = rng.integers(0, 768, (3, 2, 9))
    table = rng.integers(1, 10, 256)
    op = DynamicK(
        node="k", output=ANY, first=ANY, interval=ANY, rate=ANY, group=None, mlp=mlp(seed), table=table
    )
    for n, k in enumerate(dynamic_k(op, first, interval, rate)[:, 0]):
        f = first[n].tolist()
        deviation = isqrt(9 * sum(x * x for x in f) - sum(f) ** 2) // 9
        y = scalar_mlp(mlp(seed), [sum(rate[n].tolist()) // 9, deviation, sum(interval[n].tolist()) // 9])
        assert k == table[(y >> 4) + 128]


def test_feedback_by_hand() -> None:
    op = FeedbackController(node="f", output=ANY, attention=(), activity_shift=2, rate_shift=1, target=10)
    attended = (np.array([[[-40, 8]]]), np.array([[[4, 4]]]))
    # Activity 56 >> 2 = 14, four above the target.
    assert next_state(op, attended, np.array([0])).tolist() == [4 * 256 // 2]
    assert next_state(op, attended, np.array([4 * 256])).tolist() == [4 * 256]
    assert next_state(op, attended, np.array([-1])).tolist() == [-1 + (4 * 256 + 1) // 2]
