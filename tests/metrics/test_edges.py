"""What the indices give at the edges of their definitions, and that every option reaches the formula it belongs to."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.metrics.test_indices import make_scene
from waldbench import metrics
from waldbench.imaging import Scene, sensors
from waldbench.imaging.filters import mtf
from waldbench.metrics import conventions
from waldbench.metrics.base import crop_border
from waldbench.metrics.cloud import mae_clear, mae_cloudy
from waldbench.metrics.hypercomplex import q2n, q2n_map
from waldbench.metrics.joint import composite
from waldbench.metrics.khan import d_s_k, fqnr
from waldbench.metrics.local_correlation import d_rho
from waldbench.metrics.multiscale import mssim
from waldbench.metrics.no_reference import d_lambda, d_lambda_k, d_s, hqnr, low_pass, qnr
from waldbench.metrics.pixel import cc, mae, mpsnr, psnr
from waldbench.metrics.regression import d_s_reg, rqnr
from waldbench.metrics.reprojection import r_q2n
from waldbench.metrics.spatial import scc, ssim
from waldbench.metrics.spectral import ergas, sam
from waldbench.metrics.uiqi import uiqi

SENSOR = sensors.generic(4)


def constant(*values: float, side: int = 4) -> torch.Tensor:
    """One image, a constant for every band."""
    return torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1).expand(1, -1, side, side)


def test_sam_without_any_pixel_left():
    zero, one = constant(0, 0), constant(1, 0)
    assert sam(zero, zero).tolist() == [0]
    assert sam(zero, one).tolist() == sam(one, zero).tolist() == [90]
    assert sam(zero, one, convention=conventions.TORCHMETRICS).tolist() == pytest.approx([math.pi / 2])
    assert sam(zero, one, convention=conventions.HS).tolist() == [0]


@pytest.mark.parametrize("ratio", [2, 4, 6])
def test_ergas_falls_with_the_ratio(ratio):
    value = ergas(constant(110), constant(100), sensor=sensors.generic(1, ratio))
    assert value.tolist() == pytest.approx([10 / ratio])
    # A band of mean zero divides by 2^-52.
    beside_zero = ergas(constant(3), constant(0), sensor=sensors.generic(1, ratio))
    assert beside_zero.tolist() == pytest.approx([300 / ratio * 2.0**52])


@pytest.mark.parametrize("convention", [conventions.DEFAULT, conventions.TORCHMETRICS])
def test_flat_windows_are_compared_by_their_means(convention):
    # The sums of these values are not exact, so that rounding makes up a variance.
    bright, dark = constant(700.1, 350.3, side=40), constant(700.1 / 3, 350.3 / 3, side=40)
    assert uiqi(bright, dark, convention=convention).tolist() == pytest.approx([0.6], rel=1e-12)
    assert uiqi(bright * 0, dark, convention=convention).tolist() == [0]


def test_q2n_saturates_at_16_bits():
    gt = torch.tensor([65535.0, 60000.0, 50000.0, 0.0]).view(1, 1, 2, 2)
    assert torch.equal(q2n(gt + 500, gt, block=2), q2n((gt + 500).clamp(max=65535), gt, block=2))
    assert torch.equal(q2n(gt - 500, gt, block=2), q2n((gt - 500).clamp(min=0), gt, block=2))


def test_q2n_does_not_divide_where_the_reference_is_zero():
    zero = torch.zeros(1, 1, 2, 2)
    # The means become 1 and 4, and 2 * 4 / (1 + 16) = 8 / 17.
    assert q2n(zero + 3, zero, block=2).tolist() == pytest.approx([8 / 17])


def test_q2n_blocks_may_overlap():
    scene = make_scene(2, size=32)
    values = q2n_map(scene.lms, scene.gt, block=16, shift=8)
    assert values.shape == (2, 4, 4)
    torch.testing.assert_close(values[:, 1, 2], q2n(scene.lms[..., 8:24, 16:32], scene.gt[..., 8:24, 16:32], block=16))


def test_correlations_of_flat_bands():
    flat, varying = constant(3), torch.arange(16.0).view(1, 1, 4, 4)
    assert cc(flat, flat + 5).tolist() == [1]
    assert cc(flat, varying).tolist() == cc(varying, flat).tolist() == [0]
    # Zero padding makes edges of a constant, unless it is zero.
    assert scc(flat * 0, flat * 0).tolist() == [1]
    assert scc(flat * 0, varying).tolist() == [0]


def test_the_outer_pixels_do_not_count_for_scc():
    scene = make_scene(2)
    changed = scene.lms.clone()
    changed[..., 0, :], changed[..., :, -1] = 1e4, 0
    assert torch.equal(scc(changed, scene.gt), scc(scene.lms, scene.gt))


def test_the_least_image_of_ssim_is_one_window():
    scene = make_scene(2, size=12)
    x, y = (image[..., :11, :11] for image in (scene.lms, scene.gt))
    assert bool((ssim(x, y, sensor=sensors.generic(2)) < 1).all())
    with pytest.raises(ValueError, match="11x11"):
        ssim(x[..., :10], y[..., :10], sensor=sensors.generic(2))


def test_a_negative_structure_counts_as_none_in_mssim():
    gt = make_scene(1, size=176, batch=1).gt
    assert mssim(2000 - gt, gt, sensor=sensors.generic(1)).tolist() == [0]


def test_psnr_of_bands_of_different_error():
    error, sensor = constant(204.7, 20.47), sensors.generic(2)
    assert mpsnr(error, error * 0, sensor=sensor).tolist() == pytest.approx([30])
    assert psnr(error, error * 0, sensor=sensor).tolist() == pytest.approx([-10 * math.log10((0.01 + 0.0001) / 2)])
    assert psnr(error, error, sensor=sensor).tolist() == [math.inf]


def test_a_mean_error_is_summed_in_double_precision():
    # 2^24 + 1 is the first whole number that single precision does not have.
    fused = torch.cat([torch.full((1, 1, 1, 1), 2.0**24), torch.ones(1, 1, 1, 255)], -1)
    assert mae(fused, torch.zeros_like(fused)).tolist() == [(2**24 + 255) / 256]


def test_covered_begins_at_a_fifth():
    mask = torch.tensor([0.2, 0.19, 0.0, 1.0]).view(1, 1, 1, 4)
    fused = torch.tensor([1.0, 10.0, 20.0, 3.0]).view(1, 1, 1, 4)
    assert mae_cloudy(fused, fused * 0, mask).tolist() == [2]
    assert mae_clear(fused, fused * 0, mask).tolist() == [15]


def test_exponents_reach_their_means():
    scene = make_scene(3, size=32)
    changes = [d_lambda(scene.gt[:, pair], scene.lms[:, pair]) for pair in ([0, 1], [0, 2], [1, 2])]
    torch.testing.assert_close(d_lambda(scene.gt, scene.lms, p=3), (sum(value**3 for value in changes) / 3) ** (1 / 3))
    single = [d_s(scene.gt[:, [band]], scene.lms[:, [band]], scene.guide, sensor=SENSOR) for band in range(3)]
    torch.testing.assert_close(d_s(scene.gt, scene.lms, scene.guide, sensor=SENSOR, q=2), (sum(v**2 for v in single) / 3).sqrt())


@pytest.mark.parametrize(("p", "q", "alpha", "beta", "block"), [(2, 1, 1, 1, 32), (1, 3, 1, 1, 32), (1, 1, 2, 3, 16)])
def test_options_of_qnr_reach_both_factors(p, q, alpha, beta, block):
    scene = make_scene(4)
    spectral = 1 - d_lambda(scene.gt, scene.lms, block=block, p=p)
    spatial = 1 - d_s(scene.gt, scene.lms, scene.guide, sensor=SENSOR, block=block, q=q)
    options = {"p": p, "q": q, "alpha": alpha, "beta": beta, "block": block}
    torch.testing.assert_close(
        qnr(scene.gt, scene.lms, scene.guide, sensor=SENSOR, **options), spectral**alpha * spatial**beta, rtol=0, atol=0
    )


@pytest.mark.parametrize("block", [16, 32])
def test_the_block_reaches_both_factors_of_the_products(block):
    scene, options = make_scene(4, size=128), {"sensor": SENSOR, "block": block}
    spectral = 1 - d_lambda_k(scene.lms, scene.lms, **options)
    assert torch.equal(1 - spectral, 1 - q2n(mtf(scene.lms, SENSOR), scene.lms, block=block))
    images = (scene.lms, scene.lms, scene.guide)
    assert torch.equal(hqnr(*images, q=2, **options), spectral * (1 - d_s(*images, q=2, **options)))
    assert torch.equal(fqnr(*images, **options), spectral * (1 - d_s_k(*images, **options)))
    assert torch.equal(rqnr(*images, **options), spectral * (1 - d_s_reg(scene.lms, scene.guide)))
    at_ms = d_lambda_k(scene.lms, scene.lms, scene.ms, convention=conventions.HS, **options)
    assert torch.equal(1 - at_ms, q2n(mtf(scene.lms, SENSOR, step=4), scene.ms, block=block))
    assert torch.equal(1 - at_ms, r_q2n(scene.lms, scene.ms, **options))


@pytest.mark.parametrize("ratio", [3, 4, 6])
def test_windows_that_are_flat_up_to_rounding_have_no_correlation(ratio):
    flat, varying = constant(700.1, side=24), make_scene(1, size=24, batch=1).guide
    sensor = sensors.generic(1, ratio)
    assert d_rho(flat, varying, sensor=sensor).tolist() == d_rho(varying, flat, sensor=sensor).tolist() == [1]
    assert d_rho(flat, flat * 1.3, sensor=sensor).tolist() == [0]


def test_the_low_passed_guide_is_in_double_precision():
    guide = make_scene(1, size=32).guide
    assert low_pass(guide.float(), SENSOR).dtype == torch.float64
    torch.testing.assert_close(low_pass(guide.float(), SENSOR), low_pass(guide.float().double(), SENSOR), rtol=0, atol=0)


def test_a_guide_that_is_flat_up_to_rounding_is_explained():
    flat = torch.full((1, 1, 30, 31), 700.1, dtype=torch.float64)
    flat[0, 0, 0, 0] += 1e-9
    assert d_s_reg(make_scene(2, size=32).lms[:1, :, :30, :31], flat).tolist() == [0]


def test_the_composite_is_that_of_its_formula():
    x, y = torch.rand(2, 1, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)[:, :] * 3000 - 400
    a, b = (np.clip(image.numpy().ravel(), 0, 2047) for image in (x, y))
    means, spreads = 1 - ((a.mean() - b.mean()) / 2047) ** 2, 1 - ((a.std(ddof=1) - b.std(ddof=1)) / 1023.5) ** 2
    assert composite(x, y, 2047).tolist() == pytest.approx([means * spreads * np.corrcoef(a, b)[0, 1]], rel=1e-12)


def test_deviations_further_apart_than_half_the_peak_count_as_that():
    x, y = torch.tensor([[[0.0, 2047.0]], [[0.0, 1.0]]])[:, None]
    assert composite(x, y, 2047).tolist() == [0]


def test_the_border_is_cut_as_the_toolbox_cuts_it():
    image = torch.arange(49.0).view(1, 1, 7, 7)
    assert crop_border(image, 3)[0, 0].tolist() == [[16, 17], [23, 24]]
    with pytest.raises(ValueError, match="at least 7 pixels"):
        crop_border(image[..., :6], 3)


def test_the_border_is_cut_for_indices_with_reference_only():
    scene = make_scene(4)
    changed = scene.lms.clone()
    changed[..., 0], changed[..., -3:, :] = 5e3, 0
    for key, same in (("rmse", True), ("sam", True), ("d_rho", False), ("d_s_reg", False)):
        values = [metrics.compute(key, fused, scene, sensor=SENSOR, border=3) for fused in (scene.lms, changed)]
        assert torch.equal(*values) == same


def test_a_convention_that_an_index_does_not_know_is_refused():
    scene = make_scene(4)
    with pytest.raises(ValueError, match=r"scc knows the convention 'dlpan' only, got 'hs-toolbox'"):
        metrics.compute("scc", scene.lms, scene, sensor=SENSOR, convention="hs-toolbox")
    with pytest.raises(ValueError, match=r"mae knows the conventions 'dlpan', 'cloud-removal', got 'hs-toolbox'"):
        metrics.compute("mae", scene.lms, scene, sensor=SENSOR, convention="hs-toolbox")


def test_a_large_finite_image_is_no_infinite_one():
    huge = torch.full((1, 1, 8, 8), 3e37)
    scene = Scene(ms=huge[..., ::4, ::4], lms=huge, guide=huge, gt=huge)
    assert not bool(torch.isfinite(huge.sum()))
    assert metrics.compute("rmse", huge, scene, sensor=sensors.generic(1)).tolist() == [0]


def test_units_follow_the_convention():
    assert metrics.card("sam").under(conventions.TORCHMETRICS).unit == "rad"
    assert metrics.card("mae").under(conventions.CLOUDS).unit == ""
    assert metrics.card("mae").under(conventions.HS) == metrics.card("mae")
