"""Grouping, centre-surround, token MLP, dynamic K and priority equal Python's integers."""

from math import isqrt

import numpy as np
import pytest
import torch

from sparta_quant.dynamic_k import DynamicK, k_table
from sparta_quant.grouping import grouped, patch_group
from sparta_quant.integers import MlpIntegers, WeightIntegers
from sparta_quant.priority import TokenPriority
from sparta_quant.spatial import CentreSurround
from sparta_quant.token_mlp import TokenMLP, mlp_shifts


def random_mlp(seed: int, input_frac: int, output_frac: int, *, coarse: int = 0) -> MlpIntegers:
    """Weights of the whole range; ``coarse`` shifts the results further to the right."""
    rng = np.random.default_rng(seed)
    hidden = WeightIntegers(rng.integers(-128, 128, (8, 3)), 9 - input_frac, rng.integers(-(2**12), 2**12, 8))
    output = WeightIntegers(
        rng.integers(-128, 128, (1, 8)), 1 + coarse + output_frac, rng.integers(-(2**12), 2**12, 1)
    )
    return MlpIntegers(hidden, output)


def reference_mlp(mlp: MlpIntegers, shifts: tuple[int, int], x: tuple[int, int, int]) -> int:
    sums = [
        sum(int(w) * value for w, value in zip(row, x, strict=True)) + int(bias)
        for row, bias in zip(mlp.hidden.weight, mlp.hidden.bias, strict=True)
    ]
    hidden = [min(max(total >> shifts[0], 0), 2047) for total in sums]
    total = sum(int(v) * h for v, h in zip(mlp.output.weight[0], hidden, strict=True))
    return min(max((total + int(mlp.output.bias[0])) >> shifts[1], -2048), 2047)


def exact(module: torch.nn.Module) -> None:
    for part in module.modules():
        part.exact = True
        if isinstance(part, DynamicK):
            part.fold_()


def test_folding_changes_no_k() -> None:
    torch.manual_seed(0)
    module = DynamicK(40, k_min=1)
    draws = [torch.rand(200, 12) * scale + torch.rand(200, 1) for scale in (3.0, 5.0, 1.0)]
    for _ in range(100):
        module(*draws)
    module.eval()
    before = module(*draws)
    module.fold_()
    assert module.normalise is None
    assert len(before.unique()) > 3
    assert torch.equal(module(*draws), before)


@pytest.mark.parametrize(("input_frac", "output_frac"), [(4, 4), (3, 8), (3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_token_mlp_equals_integers(input_frac: int, output_frac: int, dtype: torch.dtype) -> None:
    results = []
    for seed in range(8):
        mlp = TokenMLP(input_frac, output_frac)
        integers = random_mlp(seed, input_frac, output_frac)
        mlp.freeze(integers)
        exact(mlp.to(dtype))
        x = np.random.default_rng(seed).integers(-2048, 2048, (3, 50)) >> (seed % 4) * 2
        y = mlp(*(torch.from_numpy(part).to(dtype) * 2.0**-input_frac for part in x))
        shifts = mlp_shifts(integers, input_frac, output_frac)
        assert shifts[0] == 5
        expected = [reference_mlp(integers, shifts, tuple(int(v) for v in column)) for column in x.T]
        np.testing.assert_array_equal(y.numpy() * 2.0**output_frac, expected)
        results += expected
    assert {-2048, 2047} < set(results)


def test_learned_token_mlp_equals_its_integers() -> None:
    mlp = TokenMLP(4, 4, [(1.0, 0.5, 0.25, 1.0), (-1.0, 0.3, 0.0, -0.5)], bias=-2.0)
    exact(mlp)
    x = torch.randint(-500, 500, (3, 200)) / 16
    before = mlp(*x).detach()
    mlp.freeze(mlp.integers())
    assert torch.equal(mlp(*x), before)
    assert before.unique().numel() > 50


@pytest.mark.parametrize("inhibition", [0, 37, 127])
def test_centre_surround_equals_integers(inhibition: int) -> None:
    rng = np.random.default_rng(inhibition)
    rate = rng.integers(0, 2048, (4, 15)) >> rng.integers(0, 8, (4, 1))
    spatial = CentreSurround((3, 5))
    spatial.freeze(inhibition)
    exact(spatial)
    result = spatial(torch.from_numpy(rate).float() / 8)
    for n in range(4):
        for p in range(15):
            row, column = divmod(p, 5)
            around = sum(
                int(rate[n, r * 5 + c])
                for r in range(max(row - 1, 0), min(row + 2, 3))
                for c in range(max(column - 1, 0), min(column + 2, 5))
                if (r, c) != (row, column)
            )
            expected = ((int(rate[n, p]) << 9) - inhibition * around) >> 9
            assert result[n, p] * 8 == min(max(expected, -2048), 2047)


def test_grouping_selects_or_duplicates_by_rate() -> None:
    rate = torch.tensor([[1.0, 4.0, 2.0, 4.0]])
    assert patch_group(rate, 3).tolist() == [[1, 3, 2]]
    assert patch_group(rate, 4).tolist() == [[1, 3, 2, 0]]
    assert patch_group(rate, 7).tolist() == [[1, 3, 2, 0, 1, 3, 2]]
    values = torch.arange(8.0).view(1, 4, 2)
    assert grouped(values, patch_group(rate, 2)).tolist() == [[[2.0, 3.0], [6.0, 7.0]]]


def test_dynamic_k_equals_integers() -> None:
    rng = np.random.default_rng(0)
    found = set()
    for seed in range(6):
        tokens = int(rng.integers(2, 20))
        module = DynamicK(tokens, k_min=1)
        mlp, table = random_mlp(seed, 3, 8, coarse=5), rng.integers(1, tokens + 1, 256)
        exact(module)
        module.mlp.freeze(mlp)
        module.table.freeze(table)
        cues = rng.integers(0, 2048, (3, 5, tokens)) >> rng.integers(0, 7, (3, 5, 1))
        first, interval, rate = cues
        k = module(*(torch.from_numpy(cue).float() / 8 for cue in cues))
        for n in range(5):
            f = [int(value) for value in first[n]]
            deviation = isqrt(tokens * sum(v * v for v in f) - sum(f) ** 2) // tokens
            x = (int(rate[n].sum()) // tokens, deviation, int(interval[n].sum()) // tokens)
            y = reference_mlp(mlp, mlp_shifts(mlp, 3, 8), x)
            assert k[n, 0] == table[(y >> 4) + 128]
            found.add(y)
    assert len(found) > 5


def test_k_table_is_equation_7() -> None:
    table = k_table(64, 4)
    assert table[0] == 64
    assert table[-1] == 4
    assert (np.diff(table) <= 0).all()
    assert table[128] == round((1 - 1 / (1 + np.exp(-0.5 / 16))) * 64)


def test_k_keeps_its_gradient_and_its_bounds() -> None:
    torch.manual_seed(0)
    module = DynamicK(16, k_min=3)
    cues = [torch.rand(5, 16) * 8 for _ in range(3)]
    for on_grid in (False, True):
        if on_grid:
            exact(module)
        k = module(*cues)
        assert torch.equal(k, k.round())
        assert ((k >= 3) & (k <= 16)).all()
        k.sum().backward()
        assert module.mlp.output.linear.layer.weight.grad.any()


def test_priority_equals_integers() -> None:
    rng = np.random.default_rng(0)
    module = TokenPriority()
    mlp = random_mlp(3, 3, 4)
    module.mlp.freeze(mlp)
    exact(module)
    first, interval, rate = rng.integers(0, 2048, (3, 2, 40)) >> 3
    rate[0] <<= 3
    gain = rng.integers(0, 256, (2, 40))
    reals = [torch.from_numpy(cue).float() / 8 for cue in (first, interval, rate)]
    result = module(*reals, torch.from_numpy(gain).float() / 64)
    gated = np.minimum((rate * gain) >> 6, 2047)
    assert (gated == 2047).any()
    for place in np.ndindex(2, 40):
        x = (int(first[place]), int(interval[place]), int(gated[place]))
        assert result[place] * 16 == reference_mlp(mlp, mlp_shifts(mlp, 3, 4), x)


def test_priority_prefers_early_dense_tokens_before_training() -> None:
    priority = TokenPriority()
    one = torch.ones(1)
    early, late = (priority(one * first, one * 2, one * 3, one) for first in (1.0, 5.0))
    dense, sparse = (priority(one, one * 2, one * rate, one) for rate in (5.0, 1.0))
    assert early > late
    assert dense > sparse
