from __future__ import annotations

import pytest
import torch

from waldbench import methods
from waldbench.imaging import sensors
from waldbench.methods.ablation import without_guide


@pytest.mark.parametrize(("key", "name"), [("pnn", "qb"), ("cf2n", "sentinel2")])
def test_the_guide_no_longer_counts(key, name):
    sensor = sensors.get(name)
    torch.manual_seed(0)
    method = methods.create(key, sensor=sensor)
    low, high = torch.rand(1, sensor.count, 16, 16), 16 * sensor.ratio
    lms = torch.rand(1, sensor.count, high, high) * sensor.scale
    guides = [torch.rand(1, sensor.guide_bands, high, high) * level for level in (-5.0, -20.0)]
    with torch.inference_mode():
        first, second = (method(low, lms, guide) for guide in guides)
        assert not torch.equal(first, second)
        names = list(method.state_dict())
        blind = without_guide(method)
        first, second = (blind(low, lms, guide) for guide in guides)
        assert torch.equal(first, second)
    assert list(blind.state_dict()) == names


@pytest.mark.parametrize(("name", "value"), [("qb", [0.0]), ("sentinel2", [-25.0, -32.5])])
def test_the_constant_is_the_lowest_value(name, value):
    sensor = sensors.get(name)
    method = methods.create("input-copy" if name == "sentinel2" else "exp", sensor=sensor)
    seen = []
    method.register_forward_hook(lambda _module, images, _out: seen.append(images[2]))
    image = torch.rand(2, sensor.count, 8, 8)
    without_guide(method)(image, image, torch.rand(2, sensor.guide_bands, 8, 8))
    assert seen[0].shape == (2, sensor.guide_bands, 8, 8)
    assert seen[0].amax((0, 2, 3)).tolist() == seen[0].amin((0, 2, 3)).tolist() == value
