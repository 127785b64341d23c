"""Attention among the K selected tokens (paper SC), the token score as its mask (paper MSP)."""

import math

import torch
from torch import Tensor

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE, FixedPoint
from sparta_quant.grid import GridModule, exact_ste, floor_ste
from sparta_quant.topk import gather_tokens

__all__ = ["SparseAttention"]

_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)
_LARGEST_SHIFT = 15


class SparseAttention(GridModule):
    """Base-2 softmax attention with integer tables (ARCHITECTURE.md "Sparse attention")::

        z_ij = sat_s12(floor(q_i . k_j) + score_j)
        attention_i = sum_j 2^(z_ij - m_i) v_j / sum_j 2^(z_ij - m_i)        m_i = max_j z_ij

    The exact forward takes powers from a table of 16 fractions and the quotient from a table of 128
    reciprocals; its gradient is that of the real softmax.

    Parameters
    ----------
    value : FixedPoint
        Format of values and of the result, s8.
    """

    exp: Tensor
    reciprocal: Tensor

    def __init__(self, value: FixedPoint) -> None:
        super().__init__()
        self._value = value
        self.register_buffer("exp", torch.tensor(EXP_TABLE), persistent=False)
        self.register_buffer("reciprocal", torch.tensor(RECIPROCAL_TABLE), persistent=False)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, score: Tensor, index: Tensor) -> Tensor:
        """Attention (batch, K, D); ``score`` is (batch, N), ``index`` (batch, K), in rank order."""
        mask = gather_tokens(score.unsqueeze(2), index).transpose(1, 2)
        z = query @ key.transpose(1, 2)
        if not self.exact:
            return torch.softmax((z + mask) * math.log(2), 2) @ value
        z = floor_ste(z, _SCORE.frac) + mask
        z = z.clamp(_SCORE.min * _SCORE.scale, _SCORE.max * _SCORE.scale)
        exact = self._integer_attention(z.detach(), value.detach())
        if not torch.is_grad_enabled():
            return exact
        return exact_ste(exact, torch.softmax(z * math.log(2), 2) @ value)

    def _integer_attention(self, z: Tensor, value: Tensor) -> Tensor:
        """The quotient in integers; sums are float64, below 2^53, and so exact."""
        logits = (z / _SCORE.scale).long()
        distance = logits.amax(2, keepdim=True) - logits
        fraction = (1 << _SCORE.frac) - 1
        power = self.exp[distance & fraction] >> (distance >> _SCORE.frac).clamp(max=_LARGEST_SHIFT)
        total = power.sum(2, keepdim=True)
        weighted = (power.double() @ (value.double() / self._value.scale)).long()
        exponent = torch.frexp(total.double()).exponent.long() - 1
        mantissa = (total << CoreConfig.reciprocal_bits) >> exponent
        reciprocal = self.reciprocal[mantissa - (1 << CoreConfig.reciprocal_bits)]
        quotient = (weighted * reciprocal) >> (exponent + CoreConfig.reciprocal_bits + 1)
        return quotient.clamp(self._value.min, self._value.max).to(value.dtype) * self._value.scale
