"""Every method without training, on every kind of input it says it supports."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from waldbench import methods
from waldbench.imaging import Scene, Sensor, interp23, sensors
from waldbench.imaging.filters import box, mtf

FAMILIES = {"interpolation", "component_substitution", "multiresolution", "variational"}
CLASSIC = [key for key in methods.names() if methods.card(key).family in FAMILIES]


@cache
def make_scene(count: int, ratio: int, height: int = 13, width: int = 10, batch: int = 2) -> tuple[Sensor, Scene]:
    """Correlated bands of a random scene in whole 11-bit numbers, degraded by Wald's protocol."""
    generator = torch.Generator().manual_seed(count + 100 * ratio)
    size = (height * ratio, width * ratio)
    fields = torch.randn(batch, 6, *size, generator=generator, dtype=torch.float64)
    fields = (4 * box(fields, 5) + 2 * box(fields, 3)).sigmoid()
    spectra = torch.rand(batch, count, 6, generator=generator, dtype=torch.float64)
    gt = (spectra @ fields.flatten(2)).view(batch, count, *size)
    gt += 0.1 * gt.amax() * box(torch.rand(gt.shape, generator=generator, dtype=torch.float64), 3)
    gt = (gt / gt.amax() * 1700 + 200).round()
    sensor = sensors.generic(count, ratio)
    ms = mtf(gt, sensor, step=ratio)
    guide = (gt.mean(1, keepdim=True) + 40 * torch.rand(batch, 1, *size, generator=generator, dtype=torch.float64)).round()
    return sensor, Scene(ms=ms, lms=interp23(ms, ratio), guide=guide, gt=gt)


def fuse(key: str, sensor: Sensor, scene: Scene) -> torch.Tensor:
    return methods.create(key, sensor=sensor)(scene.ms, scene.lms, scene.guide)


def skip_unsupported(key: str, sensor: Sensor) -> None:
    reason = methods.supports(key, sensor, "ms" if "ms" in methods.card(key).tasks else "hs")
    if reason:
        assert key in reason
        pytest.skip(reason)


@pytest.mark.parametrize("ratio", [2, 3, 4, 6])
@pytest.mark.parametrize("count", [1, 3, 4, 8, 13, 102])
@pytest.mark.parametrize("key", CLASSIC)
def test_fuses_any_band_count_and_ratio(key, count, ratio):
    sensor, scene = make_scene(count, ratio, 9, 8)
    skip_unsupported(key, sensor)
    fused = fuse(key, sensor, scene)
    assert fused.shape == scene.lms.shape
    assert fused.dtype == scene.lms.dtype
    assert bool(torch.isfinite(fused).all())


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 3), (37, 41)])
@pytest.mark.parametrize("key", CLASSIC)
def test_fuses_any_size(key, size):
    sensor, scene = make_scene(4, 4, *size)
    skip_unsupported(key, sensor)
    fused = fuse(key, sensor, scene)
    assert fused.shape == scene.lms.shape
    assert bool(torch.isfinite(fused).all())


@pytest.mark.parametrize("key", CLASSIC)
def test_is_deterministic_and_leaves_its_input_alone(key):
    sensor, scene = make_scene(4, 4)
    before = [image.clone() for image in scene.images().values()]
    assert torch.equal(fuse(key, sensor, scene), fuse(key, sensor, scene))
    assert all(torch.equal(a, b) for a, b in zip(before, scene.images().values(), strict=True))


@pytest.mark.parametrize("count", [1, 4, 8])
@pytest.mark.parametrize("key", CLASSIC)
def test_a_batch_is_its_images(key, count):
    sensor, scene = make_scene(count, 4)
    single = torch.cat([fuse(key, sensor, scene.map(lambda x, i=i: x[i : i + 1])) for i in range(2)])
    torch.testing.assert_close(fuse(key, sensor, scene), single, rtol=1e-8, atol=1e-6)


@pytest.mark.parametrize("ratio", [2, 4])
@pytest.mark.parametrize("count", [1, 4, 8])
@pytest.mark.parametrize("key", CLASSIC)
def test_single_precision_is_within_a_hundredth_of_a_digital_number(key, count, ratio):
    sensor, scene = make_scene(count, ratio, 32, 29)
    skip_unsupported(key, sensor)
    single = fuse(key, sensor, scene.to(torch.float32))
    assert single.dtype == torch.float32
    error = (single.double() - fuse(key, sensor, scene)).abs()
    # Rounding may choose another, equally good atom of a dictionary in a few patches, and iterations end a little apart.
    variational = methods.card(key).family == "variational"
    assert float(error.flatten().quantile(0.99)) < 0.01
    assert float(error.max()) < (1 if variational else 0.01)


@pytest.mark.parametrize("key", [key for key in CLASSIC if key != "exp"])
def test_beats_interpolation_of_the_scene(key):
    """A guide that is the mean of the bands must bring details, whatever the method."""
    sensor, scene = make_scene(4, 4, 32, 29)
    if methods.card(key).family == "interpolation":
        pytest.skip("no fusion: does not use the guide")
    edges = [image - box(image, 3) for image in (scene.gt, scene.lms, fuse(key, sensor, scene))]
    truth, before, after = (image.flatten() for image in edges)
    assert float(torch.corrcoef(torch.stack([truth, after]))[0, 1]) > float(torch.corrcoef(torch.stack([truth, before]))[0, 1])


@pytest.mark.parametrize("flat", ["guide", "ms", "both"])
@pytest.mark.parametrize("key", CLASSIC)
def test_flat_images_give_finite_values(key, flat):
    sensor, scene = make_scene(4, 4)
    images = scene.images()
    for name in {"guide": ["guide"], "ms": ["ms", "lms"], "both": ["guide", "ms", "lms"]}[flat]:
        images[name] = torch.full_like(images[name], 300.0)
    assert bool(torch.isfinite(fuse(key, sensor, Scene(**images))).all())


@pytest.mark.parametrize("key", CLASSIC)
def test_cards_and_family(key):
    card = methods.card(key)
    assert card.title
    assert card.summary
    assert card.faithful or card.inferred
    assert card.tasks
    assert not methods.create(key, sensor=sensors.get("wv3")).trainable


@pytest.mark.parametrize("key", ["bdsd", "sfim", "brovey"])
def test_a_radar_guide_is_not_supported(key):
    assert "not for sar" in (methods.supports(key, sensors.generic(4), "sar") or "")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("key", CLASSIC)
def test_cuda_is_the_cpu(key):
    sensor, scene = make_scene(8, 4, 32, 29)
    fused = fuse(key, sensor, scene.to("cuda"))
    assert fused.is_cuda
    torch.testing.assert_close(fused.cpu(), fuse(key, sensor, scene), rtol=1e-6, atol=1e-4)
