"""Cues, score, top-K and gate equal what the integers of ARCHITECTURE.md give."""

import numpy as np
import pytest
import torch

from sparta_hw.numerics import FixedPoint
from sparta_quant.cues import Cues, SpikeCues
from sparta_quant.gate import TokenGate
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
    tables = rng.integers(-500, 500, (4, 65))
    score = TokenScore(8)
    score.freeze(ScoreIntegers(tables))
    score.exact = True
    cues = rng.integers(0, 65, (4, 3, 20))
    result = score(Cues(*(torch.from_numpy(cue).float() / 8 for cue in cues)))
    np.testing.assert_array_equal(result.numpy() * 16, sum(tables[n][cues[n]] for n in range(4)))


def test_score_tables_are_equation_5_and_cannot_overflow() -> None:
    score = TokenScore(32)
    with torch.no_grad():
        score.alpha.fill_(0.5)
        score.gamma.fill_(0.25)
        score.delta.fill_(50.0)
    tables = score.integers().tables
    cue = np.arange(257) / 8
    np.testing.assert_array_equal(tables[0], np.rint(np.log2(np.exp(-0.5 * cue)) * 16).clip(-512, 511))
    np.testing.assert_array_equal(tables[3], np.rint(np.log2(1 / (1 + np.exp(-0.25 * cue))) * 16))
    assert tables.min(axis=1).sum() >= -2048
    assert tables.max(axis=1).sum() <= 2047
    assert tables[2].max() == 511


def test_equal_scores_rank_by_lower_index() -> None:
    score = torch.tensor([[1.0, 3.0, 1.0, 3.0, 2.0, 1.0]])
    assert TopKTokens()(score, 5).tolist() == [[1, 3, 4, 0, 2]]


@pytest.mark.parametrize(("frac", "alpha", "beta"), [(4, 80, 32), (6, 255, 1), (2, 255, 0), (6, 64, 64)])
def test_gate_equals_integers(frac: int, alpha: int, beta: int) -> None:
    rng = np.random.default_rng(0)
    spikes = (rng.random((12, 2, 5, 3, 4)) < 0.6).astype(np.float32)
    gate = TokenGate(FixedPoint(8, frac, signed=False))
    gate.freeze(GateIntegers(alpha, beta))
    gate.exact = True
    index = torch.tensor([[3, 11, 0], [4, 5, 6]])
    tokens = gate(torch.from_numpy(spikes), index)
    gain = np.full((2, 12), beta)
    np.put_along_axis(gain, index.numpy(), alpha, 1)
    count = spikes.sum(0).astype(np.int64).reshape(2, 5, 12).transpose(0, 2, 1)
    expected = np.minimum((count * gain[:, :, None]) >> (6 - frac), 255)
    np.testing.assert_array_equal(tokens.numpy() * 2.0**frac, expected)
