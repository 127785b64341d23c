"""Timing and temperature curves: tables of their equations, looked up by the score's bucket."""

import numpy as np
import pytest
import torch

from sparta_quant.score_curve import ScoreCurve, TemperatureCurve, TimingCurve

CENTRES = (np.arange(128) - 64 + 0.5) * 2


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_tables_are_the_curves_at_the_centres_of_the_buckets() -> None:
    timing = TimingCurve(0.3, -4.0).integers()
    np.testing.assert_array_equal(timing, np.rint(128 * sigmoid(0.3 * (CENTRES + 4.0))))
    temperature = TemperatureCurve(0.1, -20.0).integers()
    expected = np.rint(64 * 2.0 ** (2 * sigmoid(0.1 * (CENTRES + 20.0)) - 1))
    np.testing.assert_array_equal(temperature, expected)
    assert temperature.min() == 32
    assert temperature.max() == 128


@pytest.mark.parametrize("kind", [TimingCurve, TemperatureCurve])
def test_scores_point_into_the_table_by_their_high_bits(kind: type[ScoreCurve]) -> None:
    curve = kind(0.1, 0.0)
    table = np.random.default_rng(0).integers(0, 256, 128)
    curve.freeze(table)
    curve.exact = True
    scores = np.arange(-2048, 2048)
    result = curve(torch.from_numpy(scores).float() / 16)
    np.testing.assert_array_equal(result.numpy() * 64, table[(scores >> 5) + 64])


@pytest.mark.parametrize("kind", [TimingCurve, TemperatureCurve])
def test_gradients_reach_slope_offset_and_score(kind: type[ScoreCurve]) -> None:
    gradients = []
    for exact in (False, True):
        curve = kind(0.1, -3.0)
        curve.exact = exact
        score = torch.linspace(-20, 20, 50).requires_grad_()
        curve(score).square().sum().backward()
        gradients.append(torch.cat([score.grad, curve.slope.grad.view(1), curve.offset.grad.view(1)]))
    assert (gradients[0] != 0).all()
    assert torch.nn.functional.cosine_similarity(gradients[0], gradients[1], 0) > 0.95


def test_curves_keep_rising() -> None:
    curve = TimingCurve(-1.0, 0.0)
    curve.clamp_()
    assert (np.diff(curve.integers()) >= 0).all()
