"""Laws that every method without training obeys: units and the order of the bands do not matter, black stays black."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.methods.test_classic import CLASSIC, fuse, make_scene
from waldbench.imaging import Scene

# Not so where a regularisation has a weight of its own, and where haze is corrected band by band.
UNITS = {"fe-hpm", "gfpca", "tv"}
ORDER = {"bt-h", "mtf-glp-hpm-h"}
FEW = settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def deviation(a, b):
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("key", [key for key in CLASSIC if key not in UNITS])
@FEW
@given(factor=st.sampled_from([0.25, 0.5, 3.0, 7.5]))
def test_other_units_give_the_same_image(key, factor):
    sensor, scene = make_scene(4, 4)
    assert deviation(fuse(key, sensor, scene.map(lambda x: x * factor)), factor * fuse(key, sensor, scene)) < 1e-9


@pytest.mark.parametrize("key", [key for key in CLASSIC if key not in ORDER])
@FEW
@given(order=st.permutations(range(4)))
def test_the_order_of_the_bands_does_not_matter(key, order):
    sensor, scene = make_scene(4, 4)
    other = Scene(ms=scene.ms[:, order], lms=scene.lms[:, order], guide=scene.guide)
    assert deviation(fuse(key, sensor, other), fuse(key, sensor, scene)[:, order]) < 1e-9


@pytest.mark.parametrize("key", CLASSIC)
def test_black_stays_finite(key):
    sensor, scene = make_scene(4, 4)
    assert bool(torch.isfinite(fuse(key, sensor, scene.map(torch.zeros_like))).all())
