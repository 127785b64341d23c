"""Cues, score of one scale, top-K and gate equal what the integers of ARCHITECTURE.md give."""

import numpy as np
import pytest
import torch

from sparta_hw.numerics import FixedPoint
from sparta_quant.cues import Cues, SpikeCues
from sparta_quant.gate import TokenGain, TokenGate
from sparta_quant.integers import GateIntegers, ScoreIntegers
from sparta_quant.score import TokenScore
from sparta_quant.topk import TopKTokens


def words_of(spikes: np.ndarray) -> np.ndarray:
    """Spikes (T, batch, C, N) as words (batch, C, N), bit t = step t."""
    return sum(spikes[t].astype(np.int64) << t for t in range(len(spikes)))


def token_cues(words: list[int], steps: int) -> tuple[int, int, int, int]:
    """First, interval, burst, rate of one token on the grid 2^-3, with the bit tricks of the hardware."""
    channels = len(words)
    first = sum((w & -w).bit_length() - 1 if w else steps for w in words)
    rate = sum(w.bit_count() for w in words)
    burst = sum((w & w >> 1).bit_count() for w in words)
    span = sum(w.bit_length() - (w & -w).bit_length() for w in words if w)
    gaps = sum(max(w.bit_count() - 1, 0) for w in words)
    interval = (span << 3) // gaps if gaps else steps << 3
    return (first << 3) // channels, interval, (burst << 3) // channels, (rate << 3) // channels


@pytest.mark.parametrize("steps", [1, 2, 8, 13])
@pytest.mark.parametrize("rate", [0.0, 0.05, 0.4, 1.0])
@pytest.mark.parametrize("channels", [1, 3, 32])
def test_cues_equal_bit_tricks(steps: int, rate: float, channels: int) -> None:
    rng = np.random.default_rng(steps)
    spikes = (rng.random((steps, 2, channels, 12)) < rate).astype(np.float32)
    module = SpikeCues()
    module.exact = True
    cues = module(torch.from_numpy(spikes).unflatten(3, (3, 4)))
    words = words_of(spikes)
    for sample in range(2):
        for token in range(12):
            expected = token_cues([int(w) for w in words[sample, :, token]], steps)
            assert tuple(int(cue[sample, token] * 8) for cue in cues) == expected


def test_score_is_the_sum_of_four_look_ups() -> None:
    rng = np.random.default_rng(0)
    tables = rng.integers(-1024, 1024, (2, 4, 65))
    score = TokenScore(8)
    score.freeze(ScoreIntegers(*tables))
    score.exact = True
    cues = rng.integers(0, 65, (4, 3, 20))
    results = score(Cues(*(torch.from_numpy(cue).float() / 8 for cue in cues)))
    for result, four in zip(results, tables, strict=True):
        np.testing.assert_array_equal(result.numpy() * 16, sum(four[n][cues[n]] for n in range(4)))


def test_score_tables_are_equation_5_and_stay_in_their_format() -> None:
    score = TokenScore(32)
    with torch.no_grad():
        score.msp_first.fill_(0.5)
        score.msp_rate.fill_(0.25)
        score.msp_burst.fill_(50.0)
        score.temporal_interval.fill_(0.3)
    integers = score.integers()
    cue = np.arange(257) / 8
    np.testing.assert_array_equal(
        integers.msp[0], np.rint(np.log2(np.exp(-0.5 * cue)) * 16).clip(-1024, 1023)
    )
    np.testing.assert_array_equal(integers.msp[3], np.rint(np.log2(1 / (1 + np.exp(-0.25 * cue))) * 16))
    np.testing.assert_array_equal(integers.temporal[1], np.rint(np.log2(np.exp(-0.3 * cue)) * 16))
    assert integers.msp[2].max() == 1023
    assert not integers.temporal[3].any()


def test_equal_scores_rank_by_lower_index() -> None:
    score = torch.tensor([[1.0, 3.0, 1.0, 3.0, 2.0, 1.0]])
    ranking = TopKTokens()(score, torch.tensor([5]))
    assert ranking.tokens.tolist() == [[1, 3, 4, 0, 2]]
    assert ranking.mask.tolist() == [[1, 1, 1, 1, 1, 0]]


def test_each_sample_keeps_its_own_k() -> None:
    score = torch.tensor([[1.0, 3.0, 2.0, 5.0], [4.0, 0.0, 0.0, 0.0]])
    ranking = TopKTokens()(score, torch.tensor([1, 3]))
    assert ranking.tokens.tolist() == [[3, 1, 2], [0, 1, 2]]
    assert ranking.mask.tolist() == [[0, 0, 0, 1], [1, 1, 1, 0]]


def test_masks_are_hard_and_have_soft_gradients() -> None:
    score = torch.randn(4, 20, requires_grad=True)
    soft_k = torch.full((4, 1), 7.3, requires_grad=True)
    mask = TopKTokens()(score, torch.full((4,), 7), soft_k).mask
    assert set(mask.detach().flatten().tolist()) == {0.0, 1.0}
    assert (mask.detach().sum(1) == 7).all()
    mask.sum().backward()
    assert (score.grad > 0).all()
    assert (soft_k.grad > 0).all()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("frac", "alpha", "beta"), [(4, 80, 32), (6, 255, 1), (2, 255, 0), (6, 64, 64)])
@pytest.mark.parametrize("timed", [False, True])
def test_gate_equals_integers(frac: int, alpha: int, beta: int, timed: bool, signed: bool) -> None:
    rng = np.random.default_rng(0)
    count = rng.integers(0, 33, (2, 12, 5))
    timing = rng.integers(0, 256, (2, 12))
    gain, gate = TokenGain(), TokenGate(FixedPoint(8, frac, signed=signed))
    gain.freeze(GateIntegers(alpha, beta))
    gain.exact = gate.exact = True
    mask = rng.integers(0, 2, (2, 12))
    factors = torch.from_numpy(timing).float() / 64 if timed else None
    gains = gain(torch.from_numpy(mask).float(), factors)
    expected_gain = np.where(mask, alpha, beta)
    if timed:
        expected_gain = np.minimum((expected_gain * timing) >> 6, 255)
    np.testing.assert_array_equal(gains.numpy() * 64, expected_gain)
    tokens = gate(torch.from_numpy(count).float(), gains)
    expected = np.minimum((count * expected_gain[:, :, None]) >> (6 - frac), 127 if signed else 255)
    np.testing.assert_array_equal(tokens.numpy() * 2.0**frac, expected)
