"""The remaining classic methods against vectors of the reference toolbox, whose own slips `variant="toolbox"` repeats."""

from __future__ import annotations

import pytest
import torch

from tests.golden.more import CASES, TOLERANCE, fuse, worst
from tests.golden.parity import scene
from tests.golden.vectors import FULL, SUBSET, needs_full
from waldbench import methods
from waldbench.imaging import sensors

pytestmark = pytest.mark.usefixtures("one_thread")


@needs_full
@pytest.mark.parametrize(("name", "sensor"), CASES)
def test_all_sampled_pixels(name, sensor):
    assert worst(name, sensor, fuse(name, sensor), 3, FULL) < TOLERANCE


@pytest.mark.parametrize(("name", "sensor"), CASES)
def test_single_precision(name, sensor):
    # Single precision stops the reduced-rank method's ill-conditioned iterations elsewhere.
    tolerance = 1e-3 if name == "RR_Gstep" else 2e-5
    assert worst(name, sensor, fuse(name, sensor, torch.float32), 9, SUBSET) < tolerance


@pytest.mark.parametrize(("name", "sensor"), [case for case in CASES if case[0] in {"TV", "RR_Gstep"}])
def test_published_variant_differs_but_is_near(name, sensor):
    """The toolbox's slips change something, but not the scene."""
    difference = fuse(name, sensor, variant="published") - fuse(name, sensor)
    level = difference.abs().mean() / scene(sensor).gt.mean()
    assert 1e-6 < float(level) < 0.05


@pytest.mark.parametrize("sensor", ["wv3", "qb"])
@pytest.mark.parametrize("key", ["tv", "sr-d", "pwmbf", "rr", "cnmf", "fe-hpm", "indusion", "c-gsa", "c-bdsd"])
def test_default_beats_interpolation(key, sensor):
    images = scene(sensor)
    fused = methods.create(key, sensor=sensors.get(sensor))(images.ms, images.lms, images.guide)
    before, after = ((image - images.gt).square().mean() for image in (images.lms, fused))
    assert after < 0.8 * before
