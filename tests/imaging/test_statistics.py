from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from waldbench.imaging import least_squares
from waldbench.imaging import statistics as verbs
from waldbench.imaging.nonnegative import nonnegative


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 900 + 100


def test_moments_are_numpy_s():
    x, y = random(2, 3, 7, 5), random(2, 3, 7, 5, seed=1)
    for image in range(2):
        for band in range(3):
            a, b = x[image, band].flatten().numpy(), y[image, band].flatten().numpy()
            assert verbs.mean(x)[image, band] == pytest.approx(a.mean())
            assert verbs.std(x)[image, band] == pytest.approx(a.std(ddof=1))
            assert verbs.variance(x)[image, band] == pytest.approx(a.var(ddof=1))
            assert verbs.covariance(x, y)[image, band] == pytest.approx(np.cov(a, b)[0, 1])
            assert verbs.correlation(x, y)[image, band] == pytest.approx(np.corrcoef(a, b)[0, 1])
            assert verbs.slope(x, y)[image, band] == pytest.approx(np.polyfit(a, b, 1)[0])


def test_one_band_goes_with_many():
    guide, x = random(2, 1, 6, 6), random(2, 3, 6, 6, seed=1)
    for verb in (verbs.covariance, verbs.slope, verbs.correlation):
        torch.testing.assert_close(verb(guide, x), verb(guide.repeat(1, 3, 1, 1), x))


def test_matched_moments_match():
    x, like, spread = random(2, 1, 9, 8), random(2, 3, 9, 8, seed=1) * 2, random(2, 1, 9, 8, seed=2)
    matched = verbs.match_moments(x, like=like)
    torch.testing.assert_close(verbs.mean(matched), verbs.mean(like))
    torch.testing.assert_close(verbs.std(matched), verbs.std(like))
    matched = verbs.match_moments(x, like=like, spread=spread)
    torch.testing.assert_close(verbs.std(matched), verbs.std(like) * verbs.std(x) / verbs.std(spread))
    torch.testing.assert_close(verbs.mean(verbs.restore_mean(x, like=like)), verbs.mean(like))


def test_flat_images_have_slope_and_correlation_zero():
    flat, x = torch.full((1, 2, 5, 5), 0.1), random(1, 2, 5, 5).float()
    for value in (verbs.slope(flat, x), verbs.correlation(flat, x), verbs.zero_mean(verbs.match_moments(flat, like=x))):
        assert bool((value.abs() < 1e-4).all())


def test_single_precision_of_a_large_image():
    x = random(1, 2, 900, 800)
    expected = verbs.std(x)
    torch.testing.assert_close(verbs.std(x.float()).double(), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(verbs.gram(x.float(), x.float()), verbs.gram(x, x), rtol=1e-7, atol=0)


@pytest.mark.parametrize("constant", [False, True])
def test_regression_finds_the_weights(constant):
    x, weights = random(2, 4, 8, 9), torch.tensor([0.5, -2.0, 0.0, 1.0, 30.0], dtype=torch.float64)[: 5 if constant else 4]
    target = verbs.combine(x, weights.expand(2, -1)[..., None, None])
    found = least_squares.regress(x, onto=target, constant=constant)
    torch.testing.assert_close(found[..., 0, 0], weights.expand(2, -1), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(verbs.combine(x, found), target)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_regression_on_dependent_bands_stays_small(dtype):
    x = random(1, 2, 8, 9)
    x = torch.cat([x, x, x.sum(1, keepdim=True), torch.zeros(1, 1, 8, 9)], 1).to(dtype)
    found = least_squares.regress(x, onto=x[:, :1])
    assert float(found.abs().max()) < 1
    torch.testing.assert_close(verbs.combine(x, found), x[:, :1], rtol=1e-4, atol=0)


def test_haze_is_a_share_of_the_percentile_or_the_minimum():
    x = random(2, 4, 30, 31)
    shares = np.array([0.95, 0.45, 0.40, 0.05])
    expected = np.quantile(x.flatten(2).numpy(), 0.01, axis=-1, method="hazen") * shares
    np.testing.assert_allclose(verbs.haze(x)[..., 0, 0].numpy(), expected)
    assert torch.equal(verbs.haze(x[:, :3]), x[:, :3].amin((-2, -1), keepdim=True))
    assert bool(torch.isfinite(verbs.haze(x[..., :1, :1])).all())


@pytest.mark.parametrize("count", [1, 4, 12, 60])
def test_nonnegative_least_squares_is_scipy_s(count):
    generator = np.random.default_rng(count)
    shared = generator.normal(size=(100, 3)) @ generator.normal(size=(3, count))
    factor = shared + 0.3 * generator.normal(size=(100, count))
    targets = generator.normal(size=(100, 5)) + shared[:, :1]
    scale = np.linalg.norm(factor, axis=0)
    expected = np.stack([nnls(factor / scale, target)[0] for target in targets.T])
    matrix = torch.from_numpy((factor / scale).T @ (factor / scale)).expand(5, -1, -1)
    right = torch.from_numpy(targets.T @ (factor / scale))
    np.testing.assert_allclose(nonnegative(matrix, right).numpy(), expected, atol=1e-9)


def test_nonnegative_least_squares_of_dependent_and_empty_columns():
    matrix = torch.zeros(1, 3, 3, dtype=torch.float64)
    matrix[0, :2, :2] = 1
    found = nonnegative(matrix, torch.tensor([[2.0, 2.0, 0.0]], dtype=torch.float64))
    assert bool((found >= 0).all())
    assert float(found.sum()) == pytest.approx(2.0)
    assert nonnegative(matrix, -torch.ones(1, 3, dtype=torch.float64)).tolist() == [[0.0, 0.0, 0.0]]
