from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate
from scipy.optimize import nnls

from tests.metrics.test_indices import compute, make_scene
from waldbench.imaging import interp23, sensors
from waldbench.imaging.filters import mtf, mtf_pan
from waldbench.metrics.joint import composite, jqm, response
from waldbench.metrics.khan import d_s_k
from waldbench.metrics.local_correlation import band_correlation, d_rho
from waldbench.metrics.multiscale import mssim
from waldbench.metrics.no_reference import d_lambda_k, low_pass
from waldbench.metrics.regression import d_s_reg, rqnr
from waldbench.metrics.reprojection import r_ergas, r_q2n, r_sam, reproject

SENSOR = sensors.generic(4)
finite = st.floats(0.3, 3.0)


def numpy(image: torch.Tensor) -> np.ndarray:
    return image.double().numpy()


@pytest.mark.parametrize("intercept", [True, False])
def test_d_s_reg_is_the_unexplained_variance_of_least_squares(intercept):
    scene = make_scene(4, size=48)
    values = d_s_reg(scene.lms, scene.guide, convention="dlpan" if intercept else "hs-toolbox")
    for value, x, y in zip(values, numpy(scene.lms), numpy(scene.guide), strict=True):
        design = np.c_[x.reshape(4, -1).T, np.ones(48 * 48)] if intercept else x.reshape(4, -1).T
        weights = np.linalg.lstsq(design, y.ravel(), rcond=None)[0]
        assert float(value) == pytest.approx(np.var(y.ravel() - design @ weights) / np.var(y), rel=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.floats(-500, 500), st.floats(-2, 2))
def test_d_s_reg_with_intercept_ignores_any_linear_change_of_the_guide(seed, offset, factor):
    scene = make_scene(3, seed=seed, batch=1)
    changed = scene.guide * (factor if abs(factor) > 0.1 else 1.0) + offset
    torch.testing.assert_close(d_s_reg(scene.lms, changed), d_s_reg(scene.lms, scene.guide), rtol=1e-7, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99))
def test_d_s_reg_does_not_grow_with_bands(seed):
    scene = make_scene(6, seed=seed, batch=1)
    values = [float(d_s_reg(scene.lms[:, :count], scene.guide)) for count in range(1, 7)]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(values))


def test_a_guide_that_is_a_sum_of_bands_is_explained():
    scene = make_scene(4)
    assert bool((d_s_reg(scene.gt, scene.guide) < 1e-12).all())
    assert bool((d_s_reg(scene.gt, torch.full_like(scene.guide, 700.1)) == 0).all())


@pytest.mark.parametrize("ratio", [2, 4, 6])
def test_d_rho_is_the_mean_of_local_pearson_correlations(ratio):
    scene = make_scene(2, size=24, ratio=ratio, batch=1)
    x, y = numpy(scene.lms)[0], numpy(scene.guide)[0, 0]
    places = [(i, j) for i in range(25 - ratio) for j in range(25 - ratio)]
    expected = [
        np.mean(
            [
                np.corrcoef(b[i : i + ratio, j : j + ratio].ravel(), y[i : i + ratio, j : j + ratio].ravel())[0, 1]
                for i, j in places
            ]
        )
        for b in x
    ]
    np.testing.assert_allclose(numpy(band_correlation(scene.lms, scene.guide, ratio))[0], expected, rtol=1e-9)
    assert float(d_rho(scene.lms, scene.guide, sensor=sensors.generic(2, ratio))) == pytest.approx(
        1 - np.mean(expected), rel=1e-9
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), finite, st.floats(-300, 300))
def test_d_rho_of_bands_that_follow_the_guide_is_zero(seed, factor, offset):
    scene = make_scene(3, seed=seed, batch=1)
    follower = (scene.guide * factor + offset).expand(-1, 3, -1, -1)
    assert float(d_rho(follower, scene.guide, sensor=SENSOR)) == pytest.approx(0, abs=1e-9)
    assert float(d_rho(-follower, scene.guide, sensor=SENSOR)) == pytest.approx(2, abs=1e-9)


def test_d_rho_of_flat_windows():
    flat, scene = torch.full((1, 1, 24, 24), 700.3, dtype=torch.float64), make_scene(1, size=24, batch=1)
    assert float(d_rho(flat, flat, sensor=SENSOR)) == 0
    assert float(d_rho(flat, scene.guide, sensor=SENSOR)) == 1


def test_a_window_of_one_pixel_is_refused():
    scene = make_scene(1, size=24, batch=1)
    with pytest.raises(ValueError, match="2 or more"):
        band_correlation(scene.lms, scene.guide, 1)
    with pytest.raises(ValueError, match="4x4"):
        d_rho(scene.lms[..., :3, :], scene.guide[..., :3, :], sensor=SENSOR)


def test_the_ground_truth_reprojects_to_ms():
    scene = make_scene(4, size=64)
    assert bool((r_sam(scene.gt, scene.ms, sensor=SENSOR) < 2e-6).all())
    assert r_ergas(scene.gt, scene.ms, sensor=SENSOR).tolist() == [0, 0]
    assert r_q2n(scene.gt, scene.ms, sensor=SENSOR).tolist() == pytest.approx([1, 1], abs=1e-12)


def test_reprojected_q2n_is_the_complement_of_the_distortion_at_the_scale_of_ms():
    scene = make_scene(4, size=64)
    distortion = compute("d_lambda_k", scene.lms, scene, convention="hs-toolbox")
    assert torch.equal(1 - r_q2n(scene.lms, scene.ms, sensor=SENSOR), distortion)
    assert bool((distortion != compute("d_lambda_k", scene.lms, scene)).all())
    with pytest.raises(ValueError, match="pass ms="):
        d_lambda_k(scene.lms, scene.lms, sensor=SENSOR, convention="hs-toolbox")


def test_a_sensor_of_another_ratio_is_refused():
    scene = make_scene(4, size=64)
    with pytest.raises(ValueError, match="with_ratio"):
        reproject(scene.lms, scene.ms, SENSOR.with_ratio(2))


@pytest.mark.parametrize("convention", ["dlpan", "hs-toolbox"])
def test_rqnr_is_the_product_of_its_parts(convention):
    scene = make_scene(4, size=64)
    spectral = 1 - compute("d_lambda_k", scene.lms, scene, convention=convention)
    spatial = 1 - compute("d_s_reg", scene.lms, scene, convention=convention)
    assert torch.equal(compute("rqnr", scene.lms, scene, convention=convention), spectral * spatial)
    direct = rqnr(scene.lms, scene.lms, scene.guide, scene.ms, sensor=SENSOR, convention=convention)
    assert torch.equal(direct, spectral * spatial)


def wang(x: np.ndarray, y: np.ndarray) -> float:
    """UIQI of two windows."""
    (var_x, cov), (_, var_y) = np.cov(x, y)
    return 4 * cov * x.mean() * y.mean() / ((var_x + var_y) * (x.mean() ** 2 + y.mean() ** 2))


def test_d_s_k_is_the_change_of_likeness_of_details():
    scene = make_scene(2, size=64, batch=1)
    sensor = sensors.generic(2)
    parts = []
    for x, pan in ((scene.gt, scene.guide), (scene.lms, low_pass(scene.guide, sensor))):
        pan = pan.expand(-1, 2, -1, -1)
        details = [numpy(image - mtf(image, sensor))[0] for image in (x, pan)]
        rows = []
        for a, b in zip(*details, strict=True):
            blocks = [(a[i : i + 32, j : j + 32], b[i : i + 32, j : j + 32]) for i in (0, 32) for j in (0, 32)]
            rows.append(np.mean([wang(p.ravel(), q.ravel()) for p, q in blocks]))
        parts.append(np.array(rows))
    value = d_s_k(scene.gt, scene.lms, scene.guide, sensor=sensor)
    assert float(value) == pytest.approx(np.abs(parts[0] - parts[1]).mean(), rel=1e-9)


def test_d_s_k_of_flat_images_is_zero():
    flat = torch.full((1, 4, 64, 64), 700.1, dtype=torch.float64)
    assert float(d_s_k(flat, flat, flat[:, :1], sensor=SENSOR)) == pytest.approx(0, abs=1e-9)


def test_d_s_k_uses_the_filter_of_every_band():
    scene, wv3 = make_scene(8, size=64, batch=1), sensors.get("wv3")
    value = d_s_k(scene.gt, scene.lms, scene.guide, sensor=wv3)
    assert float(value) != float(d_s_k(scene.gt, scene.lms, scene.guide, sensor=sensors.generic(8)))
    order = [3, 1, 0, 2, 7, 6, 5, 4]
    turned = sensors.Sensor(**{**wv3.__dict__, "mtf": tuple(wv3.mtf[band] for band in order)})
    torch.testing.assert_close(d_s_k(scene.gt[:, order], scene.lms[:, order], scene.guide, sensor=turned), value)
    with pytest.raises(ValueError, match="MTF gains for 4 bands"):
        d_s_k(scene.gt, scene.lms, scene.guide, sensor=SENSOR)


def test_jqm_of_a_consistent_image_is_one():
    scene = make_scene(4, size=48)
    values = jqm(scene.gt, scene.ms, scene.guide, sensor=SENSOR, weights=(0.25,) * 4)
    assert values.tolist() == pytest.approx([1, 1], abs=1e-12)


def test_jqm_weights_are_non_negative_least_squares():
    scene = make_scene(5, size=48)
    sensor = sensors.generic(5)
    low = mtf_pan(scene.guide, sensor, step=4)
    for found, x, y in zip(numpy(response(scene.ms, scene.guide, sensor)), numpy(scene.ms), numpy(low), strict=True):
        np.testing.assert_allclose(found, nnls(x.reshape(5, -1).T, y.ravel())[0], rtol=1e-6, atol=1e-9)


def test_jqm_weighs_its_two_parts():
    scene = make_scene(4, size=48)
    ends = [jqm(scene.lms, scene.ms, scene.guide, sensor=SENSOR, v=v) for v in (0.0, 1.0)]
    torch.testing.assert_close(jqm(scene.lms, scene.ms, scene.guide, sensor=SENSOR, v=0.3), 0.7 * ends[0] + 0.3 * ends[1])
    with pytest.raises(ValueError, match="one of 4 bands"):
        jqm(scene.lms, scene.ms, scene.guide, sensor=SENSOR, weights=(0.5, 0.5))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.floats(-400, 400))
def test_the_composite_falls_with_the_square_of_a_shift(seed, shift):
    x = torch.rand(1, 9, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 1000 + 500
    assert float(composite(x, x + shift, 2047)) == pytest.approx(1 - (shift / 2047) ** 2, rel=1e-12)
    assert float(composite(x, 2000 - x, 2047)) < -0.5


def test_the_composite_of_flat_images():
    flat, varying = torch.full((1, 8, 8), 700.3), torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0)) * 1000
    assert float(composite(flat, flat, 2047)) == 1
    assert float(composite(flat, varying, 2047)) == 0
    assert float(composite(torch.zeros(1, 8, 8), torch.full((1, 8, 8), 5000.0), 2047)) == 0


@pytest.fixture(scope="module")
def noisy() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    gt = interp23(torch.rand(1, 2, 45, 48, generator=generator, dtype=torch.float64), 4) * 1500
    return gt + 60 * torch.randn(gt.shape, generator=generator, dtype=torch.float64), gt


def reference_mssim(x: np.ndarray, y: np.ndarray, peak: float = 2047.0) -> float:
    offset = np.arange(-5, 6)
    kernel = np.exp(-(offset[:, None] ** 2 + offset**2) / 4.5)
    value = 1.0
    for number, exponent in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        a, b, aa, bb, ab = (correlate(i, kernel / kernel.sum())[5:-5, 5:-5] for i in (x, y, x * x, y * y, x * y))
        c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
        factor = (2 * (ab - a * b) + c2) / (aa - a * a + bb - b * b + c2)
        if number == 4:
            factor = factor * (2 * a * b + c1) / (a * a + b * b + c1)
        value *= max(factor.mean(), 0) ** exponent
        rows, columns = (size // 2 * 2 for size in x.shape)
        x, y = (i[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean((1, 3)) for i in (x, y))
    return value


def test_mssim_is_the_product_over_scales(noisy):
    expected = np.mean([reference_mssim(x, y) for x, y in zip(*(numpy(image)[0] for image in noisy), strict=True)])
    assert float(mssim(*noisy, sensor=sensors.generic(2))) == pytest.approx(expected, rel=1e-12)


def test_mssim_is_close_to_that_of_torchmetrics(noisy):
    functional = pytest.importorskip("torchmetrics.functional.image")
    fused, gt = (image[:, :1] for image in noisy)
    expected = functional.multiscale_structural_similarity_index_measure(fused, gt, data_range=2047.0)
    assert float(mssim(fused, gt, sensor=sensors.generic(1))) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("key", ["d_s_reg", "d_rho", "d_s_k", "fqnr", "rqnr", "jqm", "r_sam", "r_ergas", "r_q2n"])
@settings(max_examples=6, deadline=None)
@given(st.integers(0, 999), st.integers(1, 6), st.integers(0, 3), st.integers(0, 3))
def test_values_stay_in_their_range(key, count_seed, count, odd_rows, odd_columns):
    scene = make_scene(count, size=64, seed=count_seed, batch=1)
    cut = scene.crop(0, 0, 16 - odd_rows // 2, 16 - odd_columns // 2) if key != "r_q2n" else scene
    value = float(compute(key, cut.lms, cut))
    low, high = {"jqm": (-1, 1), "fqnr": (-1, 1), "rqnr": (0, 1), "r_sam": (0, 180), "r_ergas": (0, 1e3)}.get(key, (0, 2))
    assert low <= value <= high


@pytest.mark.parametrize("key", ["d_s_reg", "d_rho", "jqm", "r_sam", "r_ergas"])
@pytest.mark.parametrize("size", [4, 8, 12])
def test_tiny_images_give_finite_values(key, size):
    scene = make_scene(3, size=size)
    assert bool(torch.isfinite(compute(key, scene.lms, scene)).all())
