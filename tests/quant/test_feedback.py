"""The feedback controller equals its equations in Python's integers, and holds the activity at its target."""

import numpy as np
import torch

from sparta_hw.numerics import FixedPoint
from sparta_quant.config import Feedback
from sparta_quant.feedback import FeedbackController
from sparta_quant.integers import FeedbackIntegers

MEMBRANE, VALUE = FixedPoint(16, 8), FixedPoint(8, 4)


def controller(law: Feedback, integers: FeedbackIntegers) -> FeedbackController:
    feedback = FeedbackController(law, MEMBRANE, VALUE)
    feedback.freeze(integers)
    return feedback


def test_state_equals_integers() -> None:
    rng = np.random.default_rng(0)
    attention = rng.integers(-128, 128, (2, 50, 7, 6))
    state = rng.integers(-(2**25), 2**25, 50)
    for shift, rate_shift, target in ((0, 0, 5000), (3, 3, 0), (0, 5, 65535)):
        feedback = controller(Feedback(rate_shift=rate_shift), FeedbackIntegers(shift, target))
        result = feedback(torch.from_numpy(state), [torch.from_numpy(a).float() / 16 for a in attention])
        for n in range(50):
            activity = min(int(np.abs(attention[:, n]).sum()) >> shift, 65535)
            expected = int(state[n]) + ((((activity - target) << 8) - int(state[n])) >> rate_shift)
            assert result[n] == expected


def test_offsets_equal_integers() -> None:
    state = np.random.default_rng(0).integers(-(2**25), 2**25, 200) >> np.arange(200) % 18
    for gain, limit in ((64, 64), (255, 4095), (1, 0)):
        offset = controller(Feedback(gain=gain, limit=limit), FeedbackIntegers(0, 0)).offset(
            torch.from_numpy(state)
        )
        expected = [max(-limit, min(limit, ((int(s) >> 8) * gain) >> 8)) for s in state]
        np.testing.assert_array_equal(offset.numpy() * 256, expected)


def test_largest_activity_saturates() -> None:
    feedback = controller(Feedback(rate_shift=0), FeedbackIntegers(0, 0))
    full = torch.full((1, 64, 32), -8.0)
    assert feedback(torch.zeros(1, dtype=torch.int64), [full]) == 65535 << 8


def test_calibration_takes_the_mean_activity() -> None:
    feedback = FeedbackController(Feedback(rate_shift=0), MEMBRANE, VALUE)
    attention = [torch.full((4, 10, 8), 3.0), torch.full((4, 10, 8), -1.0)]
    feedback.calibrate(attention)
    integers = feedback.integers()
    assert integers.target << integers.activity_shift == (3 + 1) * 16 * 80
    assert 128 <= integers.target < 256
    assert (feedback(torch.full((4,), 512), attention) == 0).all()


def test_target_survives_a_saved_training() -> None:
    feedback, other = (FeedbackController(Feedback(), MEMBRANE, VALUE) for _ in range(2))
    feedback.calibrate([torch.ones(2, 3, 4)])
    other.load_state_dict(feedback.state_dict())
    assert vars(other.integers()) == vars(feedback.integers())
