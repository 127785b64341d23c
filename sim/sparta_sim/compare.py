"""Where two statements of one tensor first differ."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparta_hw.errors import ConfigError
from sparta_sim.trace import Traced

__all__ = ["Mismatch", "first_mismatch"]


@dataclass(frozen=True)
class Mismatch:
    """One element that the hardware computed otherwise, or not at all.

    Parameters
    ----------
    sample : int
        Index in the data set of the run.
    tensor, node : str
        Name of the value and of the ONNX node that produces it.
    index : tuple of int
        Position in the tensor, without the step.
    step : int or None
        Time step; None for tensors that have none.
    expected, actual : int or None
        None as ``actual``: the hardware never wrote the element.
    note : str
        What else is known.
    """

    sample: int
    tensor: str
    node: str
    index: tuple[int, ...]
    step: int | None
    expected: int
    actual: int | None
    note: str = ""

    def __str__(self) -> str:
        step = "step -" if self.step is None else f"step {self.step}"
        actual = "never written" if self.actual is None else str(self.actual)
        return (
            f"sample {self.sample}, layer {self.tensor} (node {self.node!r}), index {self.index}, {step}:"
            f" expected {self.expected}, actual {actual}" + (f" ({self.note})" if self.note else "")
        )


def first_mismatch(
    expected: NDArray, traced: Traced, *, sample: int, tensor: str, node: str, stepped: bool
) -> Mismatch | None:
    """First differing element in order of the tensor's axes; ``stepped`` tensors have time as axis 0.

    An element that was never written differs from everything, and so does a tensor with writes outside of it.
    """
    if expected.shape != traced.values.shape:
        raise ConfigError(
            f"{tensor}: expected values have shape {expected.shape}, the hardware's {traced.values.shape}:"
            " they are of another network, or of another K"
        )
    wrong = (traced.values != expected) | ~traced.written
    if not wrong.any() and not traced.stray:
        return None
    position: Sequence[int] = [int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape)]
    at = tuple(position)
    step = position[0] if stepped else None
    return Mismatch(
        sample=sample,
        tensor=tensor,
        node=node,
        index=tuple(position[1:] if stepped else position),
        step=step,
        expected=int(expected[at]),
        actual=int(traced.values[at]) if traced.written[at] else None,
        note=f"and wrote outside of the tensor: {traced.stray}" if traced.stray else "",
    )
