"""How a network sees its guide."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from waldbench import methods
from waldbench.imaging import interp23, sensors

RADAR = replace(sensors.get("qb"), guide_range=((-25.0, 0.0), (-32.5, 0.0)), reflectance=10000.0)


def test_backscatter_is_clipped_and_mapped_to_the_unit_interval():
    method = methods.create("cf2n", sensor=RADAR)
    guide = torch.tensor([[-40.0, -12.5, 3.0], [-40.0, -16.25, 3.0]]).reshape(1, 2, 1, 3)
    assert method.normalise_guide(guide).flatten(2).tolist() == [[[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]]]
    assert (method.guide_bands, RADAR.scale) == (2, 10000.0)


def test_a_panchromatic_guide_is_divided_by_the_scale():
    method = methods.create("cf2n", sensor=sensors.get("qb"))
    assert method.normalise_guide(torch.full((1, 1, 2, 2), 2047.0)).unique().tolist() == [1.0]


def test_a_guide_of_another_count_is_refused():
    with pytest.raises(ValueError, match="has 2 SAR bands, got 1"):
        methods.create("cf2n", sensor=RADAR).normalise_guide(torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("key", ["gs", "gsa", "mtf-glp"])
def test_classic_methods_take_the_mean_of_two_polarisations(key):
    sensor = sensors.get("sentinel2-10m")
    generator = torch.Generator().manual_seed(1)
    ms = torch.rand(1, 4, 16, 16, generator=generator) * 2000 + 300
    lms = interp23(ms, 4)
    sar = torch.rand(1, 2, 64, 64, generator=generator) * 20 - 25
    method = methods.create(key, sensor=sensor)
    fused = method(ms, lms, sar)
    assert fused.shape == lms.shape
    assert bool(torch.isfinite(fused).all())
    torch.testing.assert_close(fused, method(ms, lms, sar.mean(1, keepdim=True)))
    assert methods.supports(key, sensor, "sar") is None
    assert "the same resolution" in (methods.supports(key, sensors.get("sentinel2"), "sar") or "")
