from __future__ import annotations

import pytest
import torch

from waldbench.catalogue import UnknownNameError
from waldbench.imaging import Scene, sensors


def make(b=2, c=4, h=6, w=5, ratio=4, guides=1, gt=True) -> Scene:
    full = (h * ratio, w * ratio)
    images = (
        torch.rand(b, c, h, w),
        torch.rand(b, c, *full),
        torch.rand(b, guides, *full),
        torch.rand(b, c, *full) if gt else None,
    )
    return Scene(*images, name=tuple("ab"[:b]))


def test_facts():
    scene = make(ratio=6)
    assert (len(scene), scene.ratio) == (2, 6)
    assert list(scene.images()) == ["ms", "lms", "guide", "gt"]
    assert list(make(gt=False).images()) == ["ms", "lms", "guide"]


def test_crop_cuts_the_same_place():
    scene = make()
    part = scene.crop(1, 2, 3, 2)
    assert torch.equal(part.ms, scene.ms[..., 1:4, 2:4])
    assert torch.equal(part.guide, scene.guide[..., 4:16, 8:16])
    assert part.name == scene.name


def test_conversion_reaches_every_image():
    assert {image.dtype for image in make().to(torch.float64).images().values()} == {torch.float64}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ms": torch.rand(4, 6, 5)}, "ms: expected a float tensor"),
        ({"ms": torch.ones(2, 4, 6, 5, dtype=torch.int16)}, "ms: expected a float tensor"),
        ({"lms": torch.rand(2, 3, 24, 20)}, "lms: expected shape"),
        ({"gt": torch.rand(2, 4, 24, 19)}, "gt: expected shape"),
        ({"guide": torch.rand(1, 1, 24, 20)}, "guide: expected shape"),
        ({"ms": torch.rand(2, 4, 7, 5)}, "one integer multiple"),
        ({"ms": torch.rand(2, 4, 12, 5)}, "one integer multiple"),
        ({"name": ("one",)}, "expected 2 names"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    scene = make()
    fields = {"ms": scene.ms, "lms": scene.lms, "guide": scene.guide, "gt": scene.gt, "name": scene.name}
    with pytest.raises(ValueError, match=message):
        Scene(**(fields | change))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_finite_is_named_and_counted(value):
    scene = make()
    scene.check_finite()
    scene.guide[0, 0, 1, :3] = value
    with pytest.raises(ValueError, match=r"guide of 'a, b' has 3 NaN"):
        scene.check_finite()


@pytest.mark.parametrize("key", sensors.names())
def test_sensors_are_whole(key):
    sensor = sensors.get(key)
    assert sensor.key == key
    assert len(sensor.mtf) == len(sensor.centres) == len(sensor.widths) == sensor.count
    assert sensor.scale == (sensor.reflectance or 2**sensor.bits - 1)
    red, green, blue = (sensor.centres[band] for band in sensor.rgb)
    assert red > green > blue
    assert all(0 < gain < 1 for gain in (*sensor.mtf, sensor.pan_mtf))
    assert list(sensor.centres) == sorted(sensor.centres)
    assert sensor.with_ratio(2).ratio == 2


@pytest.mark.parametrize(("name", "key"), [("WV3", "wv3"), (" GeoEye1 ", "ge1"), ("QuickBird", "qb"), ("GaoFen-2", "gf2")])
def test_aliases(name, key):
    assert sensors.get(name).key == key


def test_an_unknown_sensor_names_the_nearest():
    with pytest.raises(UnknownNameError, match="wv3"):
        sensors.get("wv33")


@pytest.mark.parametrize("count", [1, 3, 8, 102, 191])
def test_a_generic_sensor_has_any_band_count(count):
    sensor = sensors.generic(count, ratio=6, bits=12)
    assert (sensor.count, sensor.ratio, sensor.scale) == (count, 6, 4095.0)
    assert all(0 <= band < count for band in sensor.rgb)
