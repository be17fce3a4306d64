"""Bayes-naive and HySure: their operators against independent ones, their solutions against their problems."""

import pytest
import torch

from waldbench import methods
from waldbench.imaging import Scene, interp23, sensors
from waldbench.imaging.filters import mtf
from waldbench.methods.variational._subspace import MARGIN, Decimation, axes, mirror, responses, spectra
from waldbench.methods.variational.hysure import _curvature, _down_adjoint, _right_adjoint, _views

KEYS = ("bayes-naive", "hysure")


def cube(bands=40, ratio=4, low=16, batch=1):
    """Mixtures of four smooth spectra in patches with texture; the guide is the mean of the first third of the bands."""
    generator = torch.Generator().manual_seed(ratio)
    place = torch.linspace(0, 3, bands, dtype=torch.float64)
    curves = torch.stack([(place * (k + 1) / 2 + k).sin() + 1.3 for k in range(4)], 1)
    side = ratio * low
    patches = 3 * torch.rand(batch, 4, low // 4, low // 4, generator=generator, dtype=torch.float64)
    shares = patches.repeat_interleave(4 * ratio, 2).repeat_interleave(4 * ratio, 3).roll((1, 3), (2, 3)).softmax(1)
    texture = 1 + 0.2 * torch.rand(batch, 1, side, side, generator=generator, dtype=torch.float64)
    gt = 500 * spectra(curves.expand(batch, -1, -1), shares) * texture
    sensor = sensors.generic(bands, ratio)
    ms = mtf(gt, sensor, step=ratio)
    return sensor, Scene(ms=ms, lms=interp23(ms, ratio), guide=gt[:, : bands // 3].mean(1, keepdim=True), gt=gt)


def fuse(key, sensor, scene, **options):
    return methods.create(key, sensor=sensor, **options)(scene.ms, scene.lms, scene.guide)


@pytest.mark.parametrize("ratio", [3, 4])
@pytest.mark.parametrize("key", KEYS)
def test_better_than_interpolation_and_consistent_with_the_bands(key, ratio):
    sensor, scene = cube(ratio=ratio, batch=2)
    fused = fuse(key, sensor, scene)
    errors = [(image - scene.gt).square().mean().sqrt() for image in (scene.lms, fused)]

    assert errors[1] < 0.9 * errors[0]
    # Blurred and decimated it gives the bands back, but for the noise that they are allowed.
    lacks = [(mtf(image, sensor, step=ratio) - scene.ms).abs().mean() for image in (scene.lms, fused)]
    assert lacks[1] < 0.2 * lacks[0]


@pytest.mark.parametrize("key", KEYS)
def test_an_empty_guide_leaves_the_bands(key):
    sensor, scene = cube()
    fused = methods.create(key, sensor=sensor)(scene.ms, scene.lms, torch.zeros_like(scene.guide))
    assert fused.isfinite().all()
    assert (fused - scene.gt).square().mean() < 1.2 * (scene.lms - scene.gt).square().mean()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("key", KEYS)
def test_cuda_agrees_with_cpu(key):
    sensor, scene = cube(batch=2)
    torch.testing.assert_close(fuse(key, sensor, scene.to("cuda")).cpu(), fuse(key, sensor, scene), rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("ratio", [2, 3, 4, 6])
def test_decimation_is_the_sensors_away_from_borders_and_has_its_adjoint(ratio):
    sensor = sensors.generic(3, ratio)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 24 * ratio, 28 * ratio, generator=generator, dtype=torch.float64)
    decimation = Decimation.of(sensor, x)
    low = decimation.down(x)
    torch.testing.assert_close(low[..., 10:-10, 10:-10], mtf(x, sensor, step=ratio)[..., 10:-10, 10:-10], rtol=1e-6, atol=1e-6)
    other = torch.rand(low.shape, generator=generator, dtype=torch.float64)
    torch.testing.assert_close((low * other).sum(), (x * decimation.up(other)).sum())


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_solve_solves_its_equation(ratio):
    right = torch.rand(2, 3, 5 * ratio, 7 * ratio, dtype=torch.float64)
    weight = torch.tensor([[0.01, 0.5, 2.0], [1.0, 0.1, 0.02]], dtype=torch.float64)[..., None, None]
    decimation = Decimation.of(sensors.generic(3, ratio), right)
    x = decimation.solve(right, weight)
    torch.testing.assert_close(decimation.up(decimation.down(x)) + weight * x, right)


def test_bayes_naive_is_where_the_gradient_of_its_problem_vanishes():
    method = methods.create("bayes-naive", sensor=sensors.generic(3))
    generator = torch.Generator().manual_seed(1)
    low, start, guide = (torch.rand(1, k, s, s, generator=generator, dtype=torch.float64) for k, s in ((3, 6), (3, 24), (1, 24)))
    response = torch.tensor([[[0.5, 0.3, -0.2]]], dtype=torch.float64)
    precision = torch.diag(torch.tensor([2.0, 5.0, 9.0], dtype=torch.float64))[None]
    noise, guide_noise = (torch.full((1, 1, 1, 1), value, dtype=torch.float64) for value in (0.1, 0.3))
    details = method._solve(low, start, guide, response, precision, noise, guide_noise)
    # The problem lives on the mirrored grid; its cropped solution is compared with a conjugate-gradient one.
    margin = 4 * MARGIN
    low, start, guide = mirror(low, MARGIN), mirror(start, margin), mirror(guide, margin)
    decimation = Decimation.of(method.sensor, start)

    def gradient(d):
        data = decimation.up(decimation.down(start + d) - low) / noise
        sharp = spectra(response.mT, spectra(response, start + d) - guide) / guide_noise
        return data + sharp + spectra(precision, d)

    x = torch.zeros_like(start)
    offset = gradient(x)
    rest = -offset
    way = rest.clone()
    for _ in range(200):
        step = gradient(way) - offset
        length = rest.square().sum() / (way * step).sum()
        x, new = x + length * way, rest - length * step
        way = new + new.square().sum() / rest.square().sum() * way
        rest = new
        if rest.abs().max() < 1e-12:
            break
    torch.testing.assert_close(details, x[..., margin:-margin, margin:-margin], rtol=1e-8, atol=1e-9)


def test_hysures_adjoints_and_curvature():
    x = torch.rand(1, 2, 8, 12, dtype=torch.float64)
    decimation = Decimation.of(sensors.generic(2), x)
    _, same, down, right = _views(x, torch.fft.rfft2(x), decimation)
    other = torch.rand_like(x)
    torch.testing.assert_close((down * other).sum(), (x * _down_adjoint(other)).sum())
    torch.testing.assert_close((right * other).sum(), (x * _right_adjoint(other)).sum())
    both = _down_adjoint(down) + _right_adjoint(right)
    torch.testing.assert_close(torch.fft.irfft2(torch.fft.rfft2(same) * _curvature(x), x.shape[-2:]), both)


def test_hysure_lowers_its_objective():
    sensor, scene = cube(bands=12)
    base = axes(scene.ms, 10)
    response = responses(scene.ms, mtf(scene.guide, sensors.generic(1), step=4)) @ base
    scale = scene.ms.max()
    low, start, guide = (x / scale for x in (spectra(base.mT, scene.ms), spectra(base.mT, scene.lms), scene.guide))
    decimation = Decimation.of(sensor, start)

    def objective(x):
        _, _, down, right = _views(x, torch.fft.rfft2(x), decimation)
        variation = (down.square().sum(1) + right.square().sum(1)).sqrt().sum()
        data = (decimation.down(x) - low).square().sum() + (spectra(response, x) - guide).square().sum()
        return (data / 2 + 5e-4 * variation).item()

    values = [
        objective(methods.create("hysure", sensor=sensor, iterations=n)._minimise(start, low, guide, response))
        for n in (5, 40, 400)
    ]
    assert objective(start) > values[0] > values[1] > values[2]
    best = methods.create("hysure", sensor=sensor, iterations=400)._minimise(start, low, guide, response)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        away = 0.01 * torch.randn(best.shape, generator=generator, dtype=torch.float64)
        assert objective(best + away) > values[2]


def test_responses_find_the_bands_behind_the_guide():
    _, scene = cube(bands=6)
    weights = torch.tensor([[[0.0, 0.5, 0.2, 0.0, 0.3, 0.0]]], dtype=torch.float64)
    found = responses(scene.ms, spectra(weights, scene.ms))
    assert found.min() >= 0
    torch.testing.assert_close(spectra(found, scene.ms), spectra(weights, scene.ms), rtol=2e-3, atol=1)


def test_mirrored_borders_repeat_the_edge():
    x = torch.arange(4.0)[None, None, None].expand(1, 1, 3, -1)
    assert mirror(x, 2)[0, 0, 0].tolist() == [1, 0, 0, 1, 2, 3, 3, 2]
    assert mirror(x, 6).shape == (1, 1, 15, 16)
