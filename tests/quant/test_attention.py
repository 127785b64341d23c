"""Sparse attention equals its equations in Python's integers and stays near the real softmax."""

import numpy as np
import pytest
import torch

from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE, FixedPoint
from sparta_quant.attention import SparseAttention

FORMAT = FixedPoint(8, 4)


def saturated(value: int) -> int:
    return max(-2048, min(2047, value))


def reference(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray, sharpness: np.ndarray, shift: int
) -> np.ndarray:
    """One head of one sample; q, k, v (K, D), mask and sharpness (K,) are integers."""
    result = np.zeros_like(v)
    for i in range(len(q)):
        z = []
        for j in range(len(k)):
            dot = saturated(int(q[i] @ k[j]) >> shift)
            z.append(saturated((dot * int(sharpness[i]) >> 6) + int(mask[j])))
        p = [EXP_TABLE[(max(z) - x) & 15] >> min((max(z) - x) >> 4, 15) for x in z]
        total = sum(p)
        e = total.bit_length() - 1
        r = RECIPROCAL_TABLE[((total << 7) >> e) - 128]
        for d in range(v.shape[1]):
            o = sum(pj * int(vj) for pj, vj in zip(p, v[:, d], strict=True))
            result[i, d] = max(-128, min(127, (o * r) >> (e + 8)))
    return result


def random_inputs(seed: int, tokens: int, features: int, size: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    q, k = (rng.integers(-size, size, (1, tokens, features)) for _ in range(2))
    v = rng.integers(-128, 128, (1, tokens, features))
    mask = rng.integers(-200, 100, (1, tokens))
    return q, k, v, mask


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize(("tokens", "size"), [(1, 20), (7, 6), (16, 128), (64, 8)])
def test_equals_integers(tokens: int, size: int, heads: int, dtype: torch.dtype) -> None:
    attention = SparseAttention(FORMAT, heads)
    attention.exact = True
    q, k, v, mask = random_inputs(tokens, tokens, 6 * heads, size)
    sharpness = np.random.default_rng(tokens).integers(0, 256, (1, tokens))
    real = [torch.from_numpy(x).to(dtype) / 16 for x in (q, k, v, mask)]
    keep = torch.ones(1, tokens, dtype=dtype)
    result = attention(*real, keep, torch.from_numpy(sharpness).to(dtype) / 64)
    assert result.dtype == dtype
    for head in range(heads):
        of = slice(6 * head, 6 * head + 6)
        expected = reference(q[0, :, of], k[0, :, of], v[0, :, of], mask[0], sharpness[0], 4)
        np.testing.assert_array_equal(result[0, :, of].numpy() * 16, expected)


def test_ranks_beyond_k_take_no_part() -> None:
    attention = SparseAttention(FORMAT)
    attention.exact = True
    q, k, v, mask = (torch.from_numpy(x).float() / 16 for x in random_inputs(1, 9, 4, 30))
    keep = (torch.arange(9) < 5).float().unsqueeze(0)
    some = attention(q, k, v, mask, keep)
    few = attention(q[:, :5], k[:, :5], v[:, :5], mask[:, :5], keep[:, :5])
    assert torch.equal(some[:, :5], few)
    assert not some[:, 5:].any()
    assert some[:, :5].any()


def test_is_close_to_the_real_softmax_and_has_its_gradient() -> None:
    inputs = random_inputs(3, 16, 8, 12)
    sharpness = np.random.default_rng(0).integers(32, 128, (1, 16)) / 64
    gradients, results = [], []
    for exact in (False, True):
        attention = SparseAttention(FORMAT)
        attention.exact = exact
        real = [(torch.from_numpy(x).float() / 16).requires_grad_() for x in inputs]
        keep = torch.ones(1, 16, requires_grad=True)
        sharp = torch.from_numpy(sharpness).float().requires_grad_()
        result = attention(*real, keep, sharp)
        result.square().sum().backward()
        results.append(result.detach())
        gradients.append(torch.cat([real[3].grad, keep.grad, sharp.grad], 1))
    assert (results[0] - results[1]).abs().max() < 0.25
    assert all(part.abs().max() > 0 for part in gradients[0].split(16, 1))
    for exact_part, soft_part in zip(gradients[1].split(16, 1), gradients[0].split(16, 1), strict=True):
        assert torch.nn.functional.cosine_similarity(exact_part, soft_part) > 0.9
