from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from waldbench import metrics
from waldbench.imaging import Scene, interp23, sensors
from waldbench.imaging.filters import mtf
from waldbench.metrics.hypercomplex import _product_signs
from waldbench.metrics.uiqi import block_uiqi

SMALL = 40
# Sides of the images that an index needs where that is more than SMALL.
SIDES = {"mssim": 176, "r_q2n": 64}
# Their hypercomplex products, or the sensor's wavelengths, follow the order of bands.
ORDERED = {"q2n", "r_q2n", "d_lambda_k", "hqnr", "rqnr", "fqnr", "ergas_pan", "ergas_beyond"}
SHAPE = ["sam", "ergas", "uiqi", "scc", "cc", "d_lambda", "d_s", "qnr", "d_s_reg", "d_rho", "d_s_k", "r_sam", "r_ergas"]
PANCHROMATIC = ["d_s", "qnr", "hqnr", "d_s_reg", "rqnr", "d_rho", "d_s_k", "fqnr", "jqm"]


def make_scene(count: int = 4, size: int = SMALL, seed: int = 0, batch: int = 2, ratio: int = 4) -> Scene:
    """Random 11-bit images with some structure, float64."""
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(batch, count, size // ratio, size // ratio, generator=generator, dtype=torch.float64)
    detail = torch.rand(batch, count, size, size, generator=generator, dtype=torch.float64)
    gt = (interp23(low, ratio) * 1200 + detail * 300 + 200).round()
    ms = mtf(gt, sensors.generic(count, ratio), step=ratio)
    guide = gt.mean(1, keepdim=True)
    mask = (torch.arange(size) < size / 2).to(gt.dtype).expand_as(guide)
    return Scene(ms=ms, lms=interp23(ms, ratio), guide=guide, gt=gt, mask=mask)


def scene_for(key: str, count: int = 4, **options: int) -> Scene:
    """A scene large enough for the index."""
    return make_scene(count, size=SIDES.get(key, SMALL), **options)


def compute(key: str, fused: torch.Tensor, scene: Scene, **options: object) -> torch.Tensor:
    return metrics.compute(key, fused, scene, sensor=sensors.generic(scene.ms.shape[1], scene.ratio), **options)


@pytest.mark.parametrize("key", metrics.names())
@pytest.mark.parametrize("count", [1, 3, 8, 13])
def test_one_finite_value_per_image(key, count):
    scene = scene_for(key, count)
    values = compute(key, scene.lms, scene)
    assert values.shape == (2,)
    assert bool(torch.isfinite(values).all())
    assert torch.equal(values, compute(key, scene.lms, scene))


@pytest.mark.parametrize("key", metrics.names())
def test_a_batch_is_its_images(key):
    scene = scene_for(key, 3)
    single = [compute(key, part.lms, part) for part in (scene.map(lambda x, i=i: x[i : i + 1]) for i in range(2))]
    torch.testing.assert_close(compute(key, scene.lms, scene), torch.cat(single), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("key", metrics.names())
def test_single_precision_is_close(key):
    scene = scene_for(key, 4)
    expected = compute(key, scene.lms, scene)
    torch.testing.assert_close(compute(key, scene.lms.float(), scene.to(torch.float32)).double(), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("key", metrics.names("gt"))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identical_images_are_best(key, dtype):
    scene = scene_for(key, 5).to(dtype)
    best = torch.full((2,), metrics.card(key).best, dtype=torch.float64)
    torch.testing.assert_close(compute(key, scene.gt, scene).double(), best, rtol=0, atol=2e-6)


@pytest.mark.parametrize("key", metrics.names("gt"))
def test_noise_is_worse_the_more_there_is(key):
    scene = scene_for(key, 4)
    noise = torch.randn(scene.gt.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values = torch.stack([compute(key, scene.gt + level * noise, scene) for level in (5, 50, 200)])
    rising = values[1:] > values[:-1]
    assert bool((rising if metrics.card(key).direction == "lower" else ~rising).all())


@pytest.mark.parametrize("key", metrics.names())
@pytest.mark.parametrize(("fused", "reference"), [(0.0, 0.0), (700.0, 700.0), (0.0, 700.0), (700.0, 0.0), (700.0, 710.0)])
def test_flat_images_give_finite_values(key, fused, reference):
    whole = scene_for(key, 4)
    scene = replace(whole.map(lambda image: torch.full_like(image, reference)), mask=whole.mask)
    values = compute(key, torch.full_like(scene.lms, fused), scene)
    if fused == reference and "gt" in metrics.card(key).needs:
        assert values.tolist() == [metrics.card(key).best] * 2
    else:
        assert bool(torch.isfinite(values).all())


@pytest.mark.parametrize("key", metrics.names())
def test_a_flat_image_beside_a_varying_one_gives_a_finite_value(key):
    scene = scene_for(key, 4)
    assert bool(torch.isfinite(compute(key, torch.zeros_like(scene.lms), scene)).all())
    flat = replace(scene.map(torch.zeros_like), mask=scene.mask)
    assert bool(torch.isfinite(compute(key, scene.lms, flat)).all())


@pytest.mark.parametrize("key", metrics.names())
def test_nan_is_refused(key):
    scene = scene_for(key, 4)
    fused = scene.lms.clone()
    fused[0, 0, 3, 3] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        compute(key, fused, scene)


@pytest.mark.parametrize("key", metrics.names())
def test_a_wrong_shape_is_refused(key):
    scene = scene_for(key, 4)
    with pytest.raises(ValueError, match="expected shape"):
        compute(key, scene.lms[:, :3], scene)


@pytest.mark.parametrize("key", metrics.names("gt"))
def test_a_scene_without_ground_truth_is_refused(key):
    scene = scene_for(key, 4)
    with pytest.raises(ValueError, match="needs gt"):
        compute(key, scene.lms, Scene(ms=scene.ms, lms=scene.lms, guide=scene.guide))


@pytest.mark.parametrize(
    ("key", "size", "least"),
    [
        ("q2n", 12, "16 pixels"),
        ("d_lambda_k", 12, "16 pixels"),
        ("hqnr", 12, "16 pixels"),
        ("uiqi", 28, "32x32"),
        ("d_lambda", 28, "32x32"),
        ("d_s", 28, "32x32"),
        ("qnr", 28, "32x32"),
        ("ssim", 8, "11x11"),
        ("mssim", 172, "176x176"),
        ("r_q2n", 60, "16 pixels"),
        ("rqnr", 12, "16 pixels"),
        ("fqnr", 12, "16 pixels"),
        ("d_s_k", 28, "32x32"),
    ],
)
def test_a_small_image_is_refused_with_the_least_size(key, size, least):
    scene = make_scene(4, size=size)
    with pytest.raises(ValueError, match=least):
        compute(key, scene.lms, scene)


def test_scc_refuses_two_pixels():
    with pytest.raises(ValueError, match="3x3"):
        metrics.catalogue["scc"].load()(torch.ones(1, 1, 2, 9), torch.ones(1, 1, 2, 9))


@pytest.mark.parametrize("key", PANCHROMATIC)
def test_a_radar_guide_is_refused(key):
    scene = make_scene(4)
    radar = Scene(ms=scene.ms, lms=scene.lms, guide=scene.guide.repeat(1, 2, 1, 1))
    with pytest.raises(ValueError, match="panchromatic guide of 1 channel"):
        compute(key, scene.lms, radar)


def test_an_unknown_option_is_refused():
    scene = make_scene(4)
    with pytest.raises(TypeError, match="window"):
        compute("q2n", scene.lms, scene, window=16)


@pytest.mark.parametrize("key", ["d_lambda", "d_s"])
def test_partial_blocks_are_left_out(key):
    scene = make_scene(4, size=44)
    generator = torch.Generator().manual_seed(3)
    changed = scene.gt.clone()
    changed[..., 32:, :] += 50 * torch.rand(changed[..., 32:, :].shape, generator=generator, dtype=torch.float64)
    changed[..., :, 32:] += 50
    assert torch.equal(compute(key, changed, scene), compute(key, scene.gt, scene))


@pytest.mark.parametrize("key", [key for key in metrics.names() if key not in ORDERED])
def test_the_order_of_bands_does_not_matter(key):
    scene = scene_for(key, 4)
    order = [2, 0, 3, 1]
    turned = replace(scene, ms=scene.ms[:, order], lms=scene.lms[:, order], gt=scene.gt[:, order])
    torch.testing.assert_close(compute(key, turned.lms, turned), compute(key, scene.lms, scene), rtol=1e-10, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.25, 4.0), st.sampled_from(SHAPE), st.integers(0, 9))
def test_indices_of_shape_ignore_the_scale(factor, key, seed):
    scene = make_scene(3, seed=seed, batch=1)
    scaled = scene.map(lambda image: image * factor)
    torch.testing.assert_close(compute(key, scaled.lms, scaled), compute(key, scene.lms, scene), rtol=1e-8, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.25, 4.0), st.sampled_from(["rmse", "mae"]), st.integers(0, 9))
def test_errors_follow_the_scale(factor, key, seed):
    scene = make_scene(3, seed=seed, batch=1)
    scaled = scene.map(lambda image: image * factor)
    torch.testing.assert_close(compute(key, scaled.lms, scaled), factor * compute(key, scene.lms, scene))


def test_q2n_of_one_band_is_the_absolute_uiqi_of_the_normalised_block():
    scene = make_scene(1, size=32)
    x, y = scene.gt, scene.lms.clamp(min=0).round()
    mean, deviation = x.mean((-2, -1), keepdim=True), x.std((-2, -1), keepdim=True)
    expected = block_uiqi((y - mean) / deviation + 1, (x - mean) / deviation + 1, 32).flatten().abs()
    torch.testing.assert_close(compute("q2n", y, scene), expected)


def test_q2n_counts_rounding_half_away_from_zero():
    scene = make_scene(2, size=32)
    q2n = metrics.catalogue["q2n"].load()
    assert torch.equal(q2n(scene.gt - 0.5, scene.gt), q2n(scene.gt, scene.gt))
    assert bool((q2n(scene.gt + 0.5, scene.gt) < 1).all())


def test_the_hypercomplex_product_keeps_norms():
    signs = _product_signs(8).double()
    a, b = torch.rand(2, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    index = torch.arange(8)
    product = torch.zeros(8, dtype=torch.float64)
    for i in index:
        product.index_add_(0, index ^ i, signs[i] * a[i] * b)
    torch.testing.assert_close(product.norm(), a.norm() * b.norm())


@pytest.mark.parametrize("key", ["q2n", "d_lambda_k", "hqnr", "d_lambda", "d_s_reg", "rqnr", "d_rho", "fqnr", "jqm", "r_sam"])
def test_two_hundred_bands(key):
    scene = make_scene(200, size=32, batch=1)
    assert bool(torch.isfinite(compute(key, scene.lms, scene)).all())
