import numpy as np
import pytest

from sparta_hw.errors import ConfigError, MismatchError
from sparta_sim.compare import first_mismatch
from sparta_sim.cosim import CosimResult
from sparta_sim.trace import Traced

NAMES = {"sample": 3, "tensor": "stem.1", "node": "/stem/1/hilif"}


def traced(values: np.ndarray, stray: str = "") -> Traced:
    return Traced(values.copy(), np.ones(values.shape, bool), stray)


def test_equal_tensors_have_no_mismatch() -> None:
    values = np.arange(6).reshape(2, 3)
    assert first_mismatch(values, traced(values), stepped=False, **NAMES) is None


def test_the_earliest_step_is_named_first() -> None:
    expected = np.zeros((4, 2, 3, 3), np.int64)
    actual = traced(expected)
    actual.values[2, 0, 0, 0] = 1
    actual.values[1, 1, 2, 0] = 1
    found = first_mismatch(expected, actual, stepped=True, **NAMES)
    assert str(found) == (
        "sample 3, layer stem.1 (node '/stem/1/hilif'), index (1, 2, 0), step 1: expected 0, actual 1"
    )


def test_an_element_that_was_never_written_differs_even_from_zero() -> None:
    expected = np.zeros(5, np.int64)
    actual = traced(expected)
    actual.written[4] = False
    assert str(first_mismatch(expected, actual, stepped=False, **NAMES)).endswith(
        "index (4,), step -: expected 0, actual never written"
    )


def test_writes_outside_of_the_tensor_are_a_mismatch() -> None:
    values = np.zeros(5, np.int64)
    found = first_mismatch(values, traced(values, "line 17"), stepped=False, **NAMES)
    assert "wrote outside of the tensor: line 17" in str(found)


def test_expected_values_of_another_shape_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"stem\.1: .* shape \(4,\), the hardware's \(5,\)"):
        first_mismatch(np.zeros(4), traced(np.zeros(5, np.int64)), stepped=False, **NAMES)


def test_a_result_with_a_mismatch_fails_its_check_in_one_line() -> None:
    expected = np.array([4, 5])
    actual = traced(expected)
    actual.values[1] = -5
    first = first_mismatch(expected, actual, stepped=False, **NAMES)
    nothing = np.zeros(0, np.int64)
    result = CosimResult(8, nothing, 10, 2, first, {}, nothing, nothing, nothing, nothing, nothing, ())
    with pytest.raises(MismatchError) as error:
        result.check()
    assert str(error.value) == (
        "sample 3, layer stem.1 (node '/stem/1/hilif'), index (1,), step -: expected 5, actual -5;"
        " 2 of 10 samples differ at K = 8"
    )
