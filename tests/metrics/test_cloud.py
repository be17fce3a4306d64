from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from waldbench import metrics
from waldbench.imaging import Scene, sensors
from waldbench.imaging.clouds import cloud_and_shadow, coverage
from waldbench.metrics.conventions import CLOUDS

SENSOR = sensors.get("sentinel2")


def scene(mask: torch.Tensor) -> Scene:
    gt = torch.full((2, 13, 16, 16), 1000.0)
    return Scene(ms=gt, lms=gt, guide=torch.full((2, 2, 16, 16), -12.0), gt=gt, mask=mask)


def values(key: str, fused: torch.Tensor, images: Scene, convention: str = "dlpan") -> list[float]:
    return metrics.compute(key, fused, images, sensor=SENSOR, convention=convention).tolist()


def test_errors_are_split_by_the_mask():
    mask = torch.zeros(2, 1, 16, 16)
    mask[:, :, :4] = 1.0
    mask[:, :, 4:8] = 0.1  # thinner than what counts as covered
    images = scene(mask)
    fused = images.gt + torch.where(mask >= 0.2, 500.0, 20.0)
    assert values("mae_cloudy", fused, images) == [500.0, 500.0]
    assert values("mae_clear", fused, images) == [20.0, 20.0]
    assert values("mae", fused, images) == [140.0, 140.0]
    for key in ("mae", "mae_cloudy", "mae_clear"):
        assert values(key, fused, images, CLOUDS) == [value / 10000 for value in values(key, fused, images)]


def test_a_region_that_is_not_there_has_no_error():
    images = scene(torch.zeros(2, 1, 16, 16))
    assert torch.tensor(values("mae_cloudy", images.gt, images)).isnan().all()
    assert values("mae_clear", images.gt, images) == [0.0, 0.0]


def test_a_scene_without_a_mask_is_refused():
    images = replace(scene(torch.zeros(2, 1, 16, 16)), mask=None)
    with pytest.raises(ValueError, match="mae_clear needs a cloud mask"):
        values("mae_clear", images.gt, images)


def test_the_convention_of_mae_needs_the_sensor():
    images = scene(torch.zeros(2, 1, 16, 16))
    with pytest.raises(ValueError, match="needs the sensor"):
        metrics.catalogue["mae"].load()(images.gt, images.gt, convention=CLOUDS)


def test_cloud_removal_scores_a_constant_error_as_published_formulas_say():
    images = scene(torch.ones(2, 1, 16, 16))
    fused = images.gt + 100.0
    # One MSE over all bands, peak 1 in reflectance: 20 log10(1 / 0.01).
    assert values("psnr", fused, images, CLOUDS) == pytest.approx([40.0] * 2)
    # SSIM with zeros beyond the border, written out with torch's own convolution.
    x, y = fused[:1, :1].double(), images.gt[:1, :1].double()
    assert values("ssim", fused, images, CLOUDS) == pytest.approx([padded_ssim(x, y)] * 2, rel=1e-9)


def padded_ssim(x: torch.Tensor, y: torch.Tensor) -> float:
    offset = torch.arange(-5, 6, dtype=torch.float64)
    taps = torch.exp(-(offset**2) / (2 * 1.5**2))
    window = (torch.outer(taps, taps) / taps.sum() ** 2)[None, None]
    mean_x, mean_y, xx, yy, xy = (
        torch.nn.functional.conv2d(image / 10000**power, window, padding=5)
        for image, power in ((x, 1), (y, 1), (x * x, 2), (y * y, 2), (x * y, 2))
    )
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    contrast = (2 * (xy - mean_x * mean_y) + c2) / (xx - mean_x**2 + yy - mean_y**2 + c2)
    return float((luminance * contrast).mean())


def reflectance(*percent: float) -> torch.Tensor:
    """One colour everywhere, 13 bands in digital numbers."""
    return (torch.tensor(percent) * 100.0)[None, :, None, None].repeat(1, 1, 32, 32)


# Means of a clear and of a cloudy place in Level-1C images: field, thick cloud, snow, water.
FIELD = (16, 13.5, 12, 12.6, 14, 16, 17.6, 17.8, 19.4, 10.7, 0.3, 17.5, 12.6)
CLOUD = (56, 57, 57, 61, 60, 65, 71, 65, 74, 12, 0.2, 67, 53)
SNOW = (80, 82, 80, 80, 80, 79, 78, 76, 75, 40, 0.3, 8, 6)
WATER = (14, 10, 7, 4.5, 4, 3.2, 3, 2.6, 2.4, 1.5, 0.2, 1.5, 1)


@pytest.mark.parametrize(("colour", "share"), [(FIELD, 0.0), (CLOUD, 1.0), (SNOW, 0.0), (WATER, 0.0)])
def test_the_mask_knows_clouds_from_snow_water_and_fields(colour, share):
    assert coverage(cloud_and_shadow(reflectance(*colour))).tolist() == [share]


def test_shadows_count_beside_a_cloud_only():
    image = reflectance(*FIELD)
    image[..., 20:] = reflectance(*WATER)[..., 20:]
    assert coverage(cloud_and_shadow(image)).tolist() == [0.0]
    image[..., :12] = reflectance(*CLOUD)[..., :12]
    mask = cloud_and_shadow(image)[0, 0]
    assert bool((mask[:, :9] == 1).all())
    assert bool((mask[:, 24:] == 1).all())
    assert bool((mask[:, 16:18] == 0).all())


def test_the_mask_needs_all_bands():
    with pytest.raises(ValueError, match="13 bands of Sentinel-2, got 4"):
        cloud_and_shadow(torch.zeros(1, 4, 8, 8))
