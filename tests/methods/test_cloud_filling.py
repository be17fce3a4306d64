"""Input copy, mean fill and SAR regression: what they find cloudy, what they put there."""

from dataclasses import replace

import pytest
import torch

from waldbench import methods
from waldbench.datasets.sar_tracks import sensor_of
from waldbench.imaging import sensors
from waldbench.imaging.filters import box
from waldbench.methods.cloud_filling._clouds import clear_pixels

CENTRES = (443, 490, 560, 665, 705, 740, 783, 842, 865, 945, 1375, 1610, 2190)
SENSOR = replace(
    sensors.generic(13, ratio=1),
    title="thirteen bands",
    centres=tuple(map(float, CENTRES)),
    reflectance=10_000.0,
    guide_range=((-25.0, 0.0), (-32.5, 0.0)),
)
KEYS = ("input-copy", "mean-fill", "sar-regression")
# Reflectances of a cloud, of vegetation, of bare soil, of water and of snow.
CLOUD = (0.55, 0.55, 0.5, 0.5, 0.52, 0.53, 0.54, 0.55, 0.55, 0.3, 0.03, 0.4, 0.3)
GROUND = {
    "vegetation": (0.12, 0.09, 0.09, 0.06, 0.1, 0.25, 0.3, 0.32, 0.33, 0.1, 0.001, 0.16, 0.08),
    "soil": (0.14, 0.13, 0.14, 0.17, 0.19, 0.2, 0.22, 0.23, 0.24, 0.1, 0.002, 0.33, 0.28),
    "water": (0.1, 0.07, 0.05, 0.03, 0.03, 0.02, 0.02, 0.02, 0.02, 0.01, 0.001, 0.01, 0.01),
    "snow": (0.8, 0.8, 0.8, 0.8, 0.8, 0.78, 0.76, 0.75, 0.74, 0.5, 0.002, 0.06, 0.05),
}


def spectrum(values):
    return 10_000 * torch.tensor(values)[None, :, None, None]


def scene(height=64, width=48, batch=1):
    """Vegetation and soil mixed by a smooth share, backscatter that follows it, and a cloud in the upper left."""
    generator = torch.Generator().manual_seed(height)
    share = box(torch.rand(batch, 1, height, width, generator=generator), 15)
    share = (share - share.amin()) / (share.amax() - share.amin())
    clear = share * spectrum(GROUND["vegetation"]) + (1 - share) * spectrum(GROUND["soil"])
    guide = torch.cat([-15 + 8 * share, -22 + 6 * share], 1)
    cloudy = clear.clone()
    cloudy[..., : height // 2, : width // 2] = spectrum(CLOUD)
    return cloudy, guide, clear


def fuse(key, cloudy, guide, **options):
    return methods.create(key, sensor=SENSOR, guide_bands=2, **options)(cloudy, cloudy, guide)


@pytest.mark.parametrize("ground", GROUND)
def test_ground_is_clear_and_a_cloud_over_it_is_not(ground):
    image = spectrum(GROUND[ground]).expand(1, -1, 40, 40).clone()
    assert clear_pixels(image, SENSOR).all()
    image[..., 10:30, 5:35] = spectrum(CLOUD)
    clear = clear_pixels(image, SENSOR)
    assert not clear[..., 12:28, 7:33].any()
    assert clear[..., :6, :].all()
    assert clear[..., 35:, :].all()


def test_a_sensor_with_visible_bands_only_sees_clouds_by_brightness():
    image = spectrum(GROUND["soil"]).expand(1, -1, 20, 20).clone()
    image[..., 5:15, 5:15] = spectrum(CLOUD)
    few = replace(SENSOR, bands=SENSOR.bands[1:4], centres=SENSOR.centres[1:4])
    clear = clear_pixels(image[:, 1:4], few)
    assert not clear[..., 7:13, 7:13].any()
    assert clear[..., :2, :].all()


@pytest.mark.parametrize("key", ["mean-fill", "sar-regression"])
def test_sensors_without_visible_bands_are_told_why(key):
    blind = replace(SENSOR, bands=SENSOR.bands[3:], centres=SENSOR.centres[3:])
    assert "no blue, green band" in methods.supports(key, blind, "sar")
    assert methods.supports(key, SENSOR, "sar") is None


@pytest.mark.parametrize("key", KEYS)
def test_images_to_be_sharpened_hide_nothing(key):
    assert methods.supports(key, sensor_of("sar-cr"), "sar") is None
    assert "the task is sharpening" in methods.supports(key, sensor_of("sar-sharp"), "sar")


def test_input_copy_copies():
    cloudy, guide, _ = scene()
    copy = fuse("input-copy", cloudy, guide)
    assert torch.equal(copy, cloudy)
    assert copy.data_ptr() != cloudy.data_ptr()


def test_mean_fill_puts_the_mean_of_the_clear_pixels():
    cloudy, guide, _ = scene()
    clear = clear_pixels(cloudy, SENSOR).bool()[0, 0]
    filled = fuse("mean-fill", cloudy, guide)
    assert torch.equal(filled[..., clear], cloudy[..., clear])
    expected = cloudy[..., clear].mean(-1, keepdim=True).expand(-1, -1, int((~clear).sum()))
    torch.testing.assert_close(filled[..., ~clear], expected)


def test_sar_regression_finds_what_backscatter_tells():
    cloudy, guide, truth = scene()
    errors = {key: (fuse(key, cloudy, guide) - truth).abs().mean() for key in KEYS}
    assert errors["sar-regression"] < 0.6 * errors["mean-fill"] < errors["input-copy"]
    blind = (fuse("sar-regression", cloudy, torch.zeros_like(guide)) - truth).abs().mean()
    assert errors["sar-regression"] < 0.6 * blind


def test_local_residuals_correct_what_backscatter_does_not_tell():
    cloudy, guide, truth = scene(96, 96)
    slope = torch.linspace(0, 400, 96)
    errors = [(fuse("sar-regression", cloudy + slope, guide, window=window) - truth - slope).abs().mean() for window in (1, 33)]
    assert errors[1] < errors[0]
    with pytest.raises(ValueError, match="odd number"):
        fuse("sar-regression", cloudy, guide, window=64)


@pytest.mark.parametrize("key", KEYS)
def test_images_without_clouds_or_without_anything_else_stay(key):
    _, guide, clear = scene()
    torch.testing.assert_close(fuse(key, clear, guide), clear)
    cloud = spectrum(CLOUD).expand_as(clear)
    torch.testing.assert_close(fuse(key, cloud, guide), cloud)


@pytest.mark.parametrize("size", [(1, 1), (5, 33), (64, 48)])
@pytest.mark.parametrize("key", KEYS)
def test_a_batch_is_its_images_of_any_size(key, size):
    cloudy, guide, _ = (x.double() for x in scene(*size, batch=3))
    together = fuse(key, cloudy, guide)
    assert together.shape == cloudy.shape
    assert together.isfinite().all()
    alone = [fuse(key, cloudy[i : i + 1], guide[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))
    single = fuse(key, cloudy.float(), guide.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), together, rtol=1e-3, atol=1)
