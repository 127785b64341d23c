"""Multi-head attention among the K selected tokens (paper SC), their MSP scores as its mask (paper MSP)."""

import math

import torch
from torch import Tensor

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE, FixedPoint
from sparta_quant.grid import GridModule, exact_ste, floor_ste

__all__ = ["SparseAttention"]

_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)
_LARGEST_SHIFT = 15


class SparseAttention(GridModule):
    """Base-2 softmax attention with integer tables (ARCHITECTURE.md "Attention layer"); for each head::

        z_ij = sat_s12(floor(sat_s12(floor(q_i . k_j)) * sharpness_i) + mask_j)
        attention_i = sum_j 2^(z_ij - m_i) v_j / sum_j 2^(z_ij - m_i)        m_i = max_j z_ij

    The exact forward takes powers from a table of 16 fractions and the quotient from a table of 128
    reciprocals; its gradient is that of the real softmax.

    Parameters
    ----------
    value : FixedPoint
        Format of values and of the result, s8.
    heads : int
        Heads; head h has the features ``h * D / heads`` and up.
    """

    exp: Tensor
    reciprocal: Tensor

    def __init__(self, value: FixedPoint, heads: int = 1) -> None:
        super().__init__()
        self._value = value
        self._heads = heads
        self.register_buffer("exp", torch.tensor(EXP_TABLE), persistent=False)
        self.register_buffer("reciprocal", torch.tensor(RECIPROCAL_TABLE), persistent=False)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor,
        keep: Tensor,
        sharpness: Tensor | None = None,
    ) -> Tensor:
        """Attention (batch, K, D) of query, key and value (batch, K, D).

        ``mask`` (batch, K) is added to the logits of a key; ranks where ``keep`` (batch, K) is 0 take no part, and
        its gradient is that of a weight on keys and rows; ``sharpness`` (batch, K) multiplies the logits of a query.
        """
        v = self._of_heads(value)
        z = self._logits(query, key, mask, sharpness)
        columns = keep[:, None, None, :]
        if not self.exact:
            result = _softmax(z, columns) @ v
        else:
            result = self._integer_attention(z.detach(), v.detach(), columns.detach() > 0)
            if torch.is_grad_enabled():
                result = exact_ste(result, _softmax(z, columns) @ v)
        return result.transpose(1, 2).flatten(2) * keep.unsqueeze(2)

    def weights(
        self, query: Tensor, key: Tensor, mask: Tensor, keep: Tensor, sharpness: Tensor | None = None
    ) -> Tensor:
        """Weights (batch, heads, K, K) of :meth:`forward` in real numbers; rows sum to 1."""
        return _softmax(self._logits(query, key, mask, sharpness), keep[:, None, None, :])

    def _of_heads(self, part: Tensor) -> Tensor:
        return part.unflatten(2, (self._heads, -1)).transpose(1, 2)

    def _logits(self, query: Tensor, key: Tensor, mask: Tensor, sharpness: Tensor | None) -> Tensor:
        z = self._of_heads(query) @ self._of_heads(key).transpose(2, 3)
        if self.exact:
            z = _saturated(floor_ste(z, _SCORE.frac))
        if sharpness is not None:
            z = z * sharpness[:, None, :, None]
            z = floor_ste(z, _SCORE.frac) if self.exact else z
        z = z + mask[:, None, None, :]
        return _saturated(z) if self.exact else z

    def _integer_attention(self, z: Tensor, value: Tensor, columns: Tensor) -> Tensor:
        """The quotient in integers; sums are float64, below 2^53, and so exact."""
        logits = torch.where(columns, (z / _SCORE.scale).long(), _SCORE.min)
        distance = logits.amax(3, keepdim=True) - logits
        fraction = (1 << _SCORE.frac) - 1
        power = self.exp[distance & fraction] >> (distance >> _SCORE.frac).clamp(max=_LARGEST_SHIFT)
        power = torch.where(columns, power, 0)
        total = power.sum(3, keepdim=True)
        weighted = (power.double() @ (value.double() / self._value.scale)).long()
        exponent = torch.frexp(total.double()).exponent.long() - 1
        mantissa = (total << CoreConfig.reciprocal_bits) >> exponent
        reciprocal = self.reciprocal[mantissa - (1 << CoreConfig.reciprocal_bits)]
        quotient = (weighted * reciprocal) >> (exponent + CoreConfig.reciprocal_bits + 1)
        return quotient.clamp(self._value.min, self._value.max).to(value.dtype) * self._value.scale


def _saturated(z: Tensor) -> Tensor:
    return z.clamp(_SCORE.min * _SCORE.scale, _SCORE.max * _SCORE.scale)


def _softmax(z: Tensor, weight: Tensor) -> Tensor:
    """Base-2 softmax of z over its last axis, each column weighted by ``weight``, 0 or 1."""
    z = z.masked_fill(weight.detach() == 0, -math.inf)
    power = torch.exp2(z - z.detach().amax(-1, keepdim=True)) * weight
    return power / power.sum(-1, keepdim=True)
