"""Images with missing data: indices give what the valid pixels alone would give."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from waldbench import metrics
from waldbench.imaging import Scene, sensors
from waldbench.metrics.validity import largest_rectangle

SENSOR = sensors.get("qb")
COLLAR = (16, 8, 12, 20)  # rows above and below, columns left and right; multiples of the ratio


def scene(seed=0, side=160):
    draw = torch.Generator().manual_seed(seed)
    gt = torch.rand(1, 4, side, side, generator=draw, dtype=torch.float64) * 1500 + 200
    guide = gt.mean(1, keepdim=True) + 30 * torch.rand(1, 1, side, side, generator=draw, dtype=torch.float64)
    ms = gt[..., ::4, ::4].contiguous()
    return Scene(ms=ms, lms=gt * 0.9 + 50, guide=guide, gt=gt), gt + 40 * torch.rand(
        gt.shape, generator=draw, dtype=torch.float64
    )


def with_collar(whole, fused):
    """The scene and the fused image with rubbish outside the inner rectangle, and both cut to it."""
    top, bottom, left, right = COLLAR
    inside = (..., slice(top, -bottom), slice(left, -right))
    valid = torch.zeros(1, 1, *whole.guide.shape[-2:], dtype=torch.bool)
    valid[inside] = True

    def spoil(image):
        step = whole.guide.shape[-1] // image.shape[-1]
        known = valid[..., ::step, ::step]
        return torch.where(known, image, torch.full_like(image, 9999.0))

    spoilt = dataclasses.replace(whole.map(spoil), valid=valid)
    cut = whole.crop(top // 4, left // 4, (160 - top - bottom) // 4, (160 - left - right) // 4)
    return spoilt, spoil(fused), cut, fused[inside]


KEYS = [key for key in metrics.names() if "mask" not in metrics.card(key).needs and key not in {"ergas_beyond", "mssim"}]


@pytest.mark.parametrize("key", KEYS)
def test_a_collar_of_missing_data_changes_no_score(key):
    spoilt, fused, cut, inner = with_collar(*scene())
    expected = metrics.compute(key, inner, cut, sensor=SENSOR)
    torch.testing.assert_close(metrics.compute(key, fused, spoilt, sensor=SENSOR), expected, rtol=1e-12, atol=1e-12)
    assert not torch.isclose(metrics.compute(key, fused, dataclasses.replace(spoilt, valid=None), sensor=SENSOR), expected).all()


def _line(whole, some):
    """A scene of one row that holds the chosen pixels."""
    gt, guide = (image[..., some][:, :, None] for image in (whole.gt, whole.guide))
    return Scene(ms=gt, lms=gt, guide=guide, gt=gt)


@pytest.mark.parametrize("key", ["sam", "ergas", "psnr", "rmse", "mae", "cc"])
def test_indices_of_single_pixels_read_every_valid_one(key):
    whole, fused = scene()
    valid = torch.rand(1, 1, 160, 160, generator=torch.Generator().manual_seed(3)) < 0.4
    some = valid[0, 0]
    line = _line(whole, some)
    found = metrics.compute(key, fused, dataclasses.replace(whole, valid=valid), sensor=SENSOR)
    torch.testing.assert_close(found, metrics.compute(key, fused[..., some][:, :, None], line, sensor=SENSOR), rtol=1e-12, atol=0)


def test_each_image_of_a_batch_has_its_own_mask():
    (one, first), (other, second) = scene(1), scene(2)
    both = Scene(**{name: torch.cat([image, other.images()[name]]) for name, image in one.images().items()})
    valid = torch.ones(2, 1, 160, 160, dtype=torch.bool)
    valid[1, :, :40] = False
    found = metrics.compute("q2n", torch.cat([first, second]), dataclasses.replace(both, valid=valid), sensor=SENSOR)
    expected = metrics.compute("q2n", second[..., 40:, :], other.crop(10, 0, 30, 40), sensor=SENSOR)
    torch.testing.assert_close(found, torch.cat([metrics.compute("q2n", first, one, sensor=SENSOR), expected]))


def test_too_few_valid_pixels_are_a_clear_reason():
    whole, fused = scene()
    valid = torch.zeros(1, 1, 160, 160, dtype=torch.bool)
    valid[..., 8:28, 8:28] = True
    with pytest.raises(ValueError, match="the largest rectangle of valid pixels has 20x20"):
        metrics.compute("mssim", fused, dataclasses.replace(whole, valid=valid), sensor=SENSOR)
    valid[:] = False
    with pytest.raises(ValueError, match="no valid pixel"):
        metrics.compute("sam", fused, dataclasses.replace(whole, valid=valid), sensor=SENSOR)


def brute_force(valid):
    """Area of the largest rectangle, by trying them all."""
    rows, columns = valid.shape
    return max(
        (bottom - top) * (right - left)
        for top in range(rows)
        for bottom in range(top + 1, rows + 1)
        for left in range(columns)
        for right in range(left + 1, columns + 1)
        if bool(valid[top:bottom, left:right].all())
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_rectangle_is_the_largest(seed):
    valid = torch.rand(7, 9, generator=torch.Generator().manual_seed(seed)) < 0.7
    top, left, height, width = largest_rectangle(valid)
    assert bool(valid[top : top + height, left : left + width].all())
    assert height * width == brute_force(valid)
