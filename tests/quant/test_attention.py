"""Sparse attention equals its equations in Python's integers and stays near the real softmax."""

import numpy as np
import pytest
import torch

from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE, FixedPoint
from sparta_quant.attention import SparseAttention

FORMAT = FixedPoint(8, 4)


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray, shift: int) -> np.ndarray:
    """One sample; q, k, v (K, D) and mask (K,) are integers."""
    result = np.zeros_like(v)
    for i in range(len(q)):
        z = [max(-2048, min(2047, (int(q[i] @ k[j]) >> shift) + int(mask[j]))) for j in range(len(k))]
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
    score = rng.integers(-200, 100, (1, 2 * tokens))
    index = rng.permutation(2 * tokens)[None, :tokens]
    return q, k, v, score, index


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("tokens", "features", "size"), [(1, 3, 20), (7, 5, 6), (16, 32, 128), (64, 32, 8)])
def test_equals_integers(tokens: int, features: int, size: int, dtype: torch.dtype) -> None:
    attention = SparseAttention(FORMAT)
    attention.exact = True
    q, k, v, score, index = random_inputs(tokens, tokens, features, size)
    real = [torch.from_numpy(x).to(dtype) / 16 for x in (q, k, v, score)]
    result = attention(*real, torch.from_numpy(index))
    assert result.dtype == dtype
    expected = reference(q[0], k[0], v[0], score[0][index[0]], 4)
    np.testing.assert_array_equal(result[0].numpy() * 16, expected)


def test_is_close_to_the_real_softmax_and_has_its_gradient() -> None:
    q, k, v, score, index = random_inputs(3, 16, 8, 12)
    gradients, results = [], []
    for exact in (False, True):
        attention = SparseAttention(FORMAT)
        attention.exact = exact
        real = [(torch.from_numpy(x).float() / 16).requires_grad_() for x in (q, k, v, score)]
        result = attention(*real, torch.from_numpy(index))
        result.square().sum().backward()
        results.append(result.detach())
        gradients.append(real[3].grad)
    assert (results[0] - results[1]).abs().max() < 0.25
    assert gradients[0].abs().max() > 0
    assert torch.nn.functional.cosine_similarity(*gradients) > 0.9
