from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.metrics.test_indices import make_scene
from waldbench import metrics
from waldbench.imaging import sensors
from waldbench.metrics.band_ranges import ergas_beyond, ergas_pan
from waldbench.metrics.spectral import ergas

SENSOR = replace(sensors.generic(4), centres=(500.0, 600.0, 900.0, 2200.0), pan=(450.0, 700.0))


def test_bands_are_told_apart_by_their_centres():
    gt = make_scene(4).gt
    fused = gt.clone()
    fused[:, 2:] += 50
    assert ergas_pan(fused, gt, sensor=SENSOR).tolist() == [0, 0]
    torch.testing.assert_close(ergas_beyond(fused, gt, sensor=SENSOR), ergas(fused[:, 2:], gt[:, 2:], sensor=SENSOR))


def test_both_make_up_the_whole():
    scene = make_scene(4)
    parts = [metrics.compute(key, scene.lms, scene, sensor=SENSOR) ** 2 for key in ("ergas_pan", "ergas_beyond")]
    whole = metrics.compute("ergas", scene.lms, scene, sensor=SENSOR)
    torch.testing.assert_close((sum(parts) / 2).sqrt(), whole)


def test_no_band_there_gives_zero():
    scene, inside = make_scene(4), replace(SENSOR, pan=(400.0, 2500.0))
    assert ergas_beyond(scene.lms, scene.gt, sensor=inside).tolist() == [0, 0]
    torch.testing.assert_close(ergas_pan(scene.lms, scene.gt, sensor=inside), ergas(scene.lms, scene.gt, sensor=inside))


def test_another_sensor_is_refused():
    scene = make_scene(4)
    with pytest.raises(ValueError, match="191 bands, the image has 4"):
        metrics.compute("ergas_pan", scene.lms, scene, sensor=sensors.get("wdc"))
