"""Token MLP: three inputs, eight ReLU units, one output (paper eq. 7 and 8, and the priority of SC)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import FixedPoint
from sparta_quant.grid import GridModule
from sparta_quant.integers import MlpIntegers
from sparta_quant.projection import Projection

__all__ = ["HIDDEN_FRAC", "INPUTS", "TokenMLP", "mlp_shifts"]

INPUTS = 3
HIDDEN_FRAC = 4
"""Fractional bits of hidden units, u11.4 in every token MLP."""
_HIDDEN = FixedPoint(CoreConfig.hidden_bits, HIDDEN_FRAC, signed=False)


class TokenMLP(GridModule):
    """``y = sat(floor(v . clamp(floor(W x + b), 0, 2047 / 16) + c))`` (ARCHITECTURE.md "Token MLP").

    All three inputs have ``input_frac`` fractional bits, hidden units 4. Weights are s8 on one power-of-two scale a
    layer, so that the shifts of the hardware are the differences of :func:`mlp_shifts`.

    Parameters
    ----------
    input_frac : int
        Fractional bits of the inputs.
    output_frac : int
        Fractional bits of the s12 output.
    pairs : sequence of (float, float, float, float)
        The network at the start: a unit with three weights and its weight in the output each; units that are left
        have random weights.
    bias : float
        Bias of the output at the start.
    spread : float
        Factor on PyTorch's initial weights of the units that are left.
    """

    def __init__(
        self,
        input_frac: int,
        output_frac: int,
        pairs: Sequence[tuple[float, float, float, float]] = (),
        bias: float = 0.0,
        spread: float = 0.1,
    ) -> None:
        super().__init__()
        units = CoreConfig.hidden_units
        inputs = FixedPoint(CoreConfig.score_bits, input_frac)
        output = FixedPoint(CoreConfig.score_bits, output_frac)
        self.input_frac, self.output_frac = input_frac, output_frac
        self.hidden = Projection(INPUTS, units, input=inputs, output=_HIDDEN, bias=True)
        self.output = Projection(units, 1, input=_HIDDEN, output=output, bias=True)
        with torch.no_grad():
            for layer in (self.hidden.linear.layer, self.output.linear.layer):
                layer.weight.mul_(spread)
                layer.bias.zero_()
            for n, pair in enumerate(pairs):
                self.hidden.linear.layer.weight[n] = torch.tensor(pair[:INPUTS])
                self.output.linear.layer.weight[0, n] = pair[INPUTS]
            self.output.linear.layer.bias.fill_(bias)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Output (...) of three inputs (...), on their grid when ``exact``."""
        hidden = F.relu(self.hidden(torch.stack(inputs, -1)))
        return self.output(hidden).squeeze(-1)

    def integers(self) -> MlpIntegers:
        """Weights as the hardware has them."""
        return MlpIntegers(self.hidden.linear.integers(), self.output.linear.integers())

    def freeze(self, integers: MlpIntegers) -> None:
        """Replace the learned weights by ``integers``."""
        self.hidden.linear.freeze(integers.hidden)
        self.output.linear.freeze(integers.output)


def mlp_shifts(integers: MlpIntegers, input_frac: int, output_frac: int) -> tuple[int, int]:
    """``hidden_shift`` and ``shift`` of ARCHITECTURE.md: fractional bits of the sums less those of the results."""
    return (
        integers.hidden.frac + input_frac - HIDDEN_FRAC,
        integers.output.frac + HIDDEN_FRAC - output_frac,
    )
