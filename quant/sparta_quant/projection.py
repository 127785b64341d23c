"""Linear layers: query, key and value of the selected tokens, and the classifier."""

import torch.nn.functional as F
from torch import Tensor, nn

from sparta_hw.numerics import FixedPoint
from sparta_quant.grid import GridModule, floor_quantizer
from sparta_quant.weights import linear_weights

__all__ = ["Projection"]


class Projection(GridModule):
    """``y = sat(floor(w x + bias))`` on the grid of ``output``; exact sums when ``output`` is None.

    Parameters
    ----------
    inputs, outputs : int
        Features.
    input, output : FixedPoint
        Formats; ``output`` None leaves the sums as they are (logits).
    bias : bool
        Whether it has biases.
    """

    def __init__(
        self, inputs: int, outputs: int, *, input: FixedPoint, output: FixedPoint | None, bias: bool
    ) -> None:
        super().__init__()
        self.linear = linear_weights(
            inputs,
            outputs,
            bias=bias,
            input_frac=input.frac,
            output_frac=None if output is None else output.frac,
        )
        self.to_output = nn.Identity() if output is None else floor_quantizer(output)

    def forward(self, x: Tensor) -> Tensor:
        """Results (..., outputs) of x (..., inputs)."""
        y = F.linear(x, *self.linear())
        return self.to_output(y) if self.exact else y
