"""The physical chain of the simulated twins: spectra, responses, light, shadows, texture, likeness to real scenes."""

import numpy as np
import pytest
import torch

from waldbench.datasets.simulated import materials, optics, texture
from waldbench.datasets.simulated.canvas import Box, Canvas, Palette
from waldbench.datasets.simulated.chunks import SENSORS, Chunk
from waldbench.datasets.simulated.compose import KINDS
from waldbench.datasets.simulated.render import cast_shadow
from waldbench.imaging import sensors

NAMES = list(materials.NAMES)


def reflectance(key, name):
    return (optics.responses(sensors.get(key)) @ materials.all_spectra().T)[:, NAMES.index(name)]


def test_there_are_many_materials_with_reflectance_between_0_and_1():
    spectra = materials.all_spectra()
    assert len(NAMES) >= 25
    assert spectra.shape == (len(NAMES), len(materials.WAVELENGTHS))
    assert 0 < spectra.min() < spectra.max() < 1
    assert {material.partner for material in materials.MATERIALS.values()} <= set(NAMES)


def test_instances_stay_physical_however_bright():
    spectra = materials.spectra(np.arange(len(NAMES)), np.full(len(NAMES), 40.0), np.full(len(NAMES), 2.0))
    assert spectra.max() <= 0.95
    assert spectra.min() >= 0.003


def test_vegetation_has_a_red_edge_and_water_none():
    for name in ("lawn", "crop", "broadleaf", "conifer"):
        band = reflectance("qb", name)
        assert band[1] > band[0]
        assert band[1] > band[2]
        assert band[3] > 4 * band[2]
    band = reflectance("qb", "deep water")
    assert band[0] > band[1] > band[2] > band[3]


@pytest.mark.parametrize("key", SENSORS)
def test_responses_lie_in_their_bands(key):
    sensor = sensors.get(key)
    response = optics.responses(sensor)
    assert response.sum(1) == pytest.approx(1)
    means = response @ materials.WAVELENGTHS
    assert np.abs(means[:-1] - sensor.centres).max() < 12
    # PAN is not a mixture of the MS bands: part of its response lies between and outside theirs.
    weights, *_ = np.linalg.lstsq(response[:-1].T, response[-1], rcond=None)
    assert np.linalg.norm(response[:-1].T @ weights - response[-1]) > 0.15 * np.linalg.norm(response[-1])


def test_haze_brightens_blue_most():
    sensor = sensors.get("wv3")
    clear, hazy = (optics.light(sensor, optics.Weather(0.9, 0.0, haze))[2] for haze in (0.5, 2.0))
    assert np.all(np.diff((hazy - clear)[:-1]) < 0)


def test_a_tower_casts_a_shadow_away_from_the_sun_and_as_long_as_it_must():
    height = np.zeros((64, 64), dtype=np.float32)
    height[30:34, 30:34] = 10.0
    # The sun stands at 45 degrees beyond the right edge: the shadow falls to the left, ten metres at one pixel a metre.
    shadow = cast_shadow(height, 1.0, optics.Weather(np.pi / 4, 0.0, 1.0))
    assert shadow[32, 21:30].min() > 0.9
    assert shadow[32, :19].max() == 0
    assert shadow[32, 34:].max() == 0
    assert shadow[30:34, 30:34].max() == 0


def test_palette_instances_vary_within_a_material():
    palette = Palette(np.random.default_rng(0))
    labels = [palette.add("clay tile") for _ in range(50)]
    own, other = palette.reflectance(optics.responses(sensors.get("qb")))
    assert own.shape == other.shape == (5, len(labels))
    assert 0.05 < own[2].std() / own[2].mean() < 0.4


def test_painting_clips_at_the_canvas_and_thin_stripes_stay_visible():
    canvas = Canvas(20, 1.0, 0)
    canvas.paint(Box(-5, 15, 4, 90), 3, height=2.0)
    assert (canvas.label == 3).sum() == 4 * 5
    canvas.stripe(Box(10.2, 0, 10.6, 10), 4)
    assert (canvas.label == 4).sum() == 10
    assert canvas.mix[canvas.label == 4].min() == pytest.approx(0.6, abs=0.01)


def test_taller_trees_hide_lower_ones():
    rng = np.random.default_rng(0)
    canvas = Canvas(40, 1.0, 0)
    canvas.plant(20, 20, 8, 12, 2)
    canvas.plant(20, 20, 4, 3, 1)
    canvas.grow(rng)
    assert canvas.label[20, 20] == 2
    assert 8 < canvas.height.max() <= 12


def test_grain_has_unit_deviation_and_the_asked_slope():
    field = texture.grain(np.random.default_rng(0), 512, slope=1.0)
    assert field.mean() == pytest.approx(0, abs=1e-3)
    assert field.std() == pytest.approx(1, abs=0.02)
    power = np.abs(np.fft.rfft(field, axis=1)) ** 2
    low, high = power[:, 40:60].mean(), power[:, 160:240].mean()
    assert high < low / 3


def test_noise_is_unbiased_and_integers_saturate():
    sensor, rng = sensors.get("gf2"), np.random.default_rng(0)
    image = optics.expose(torch.full((1, 1, 200, 200), 400.3), sensor, rng)
    assert image.mean() == pytest.approx(400.3, abs=0.1)
    assert image.std() == pytest.approx((0.8**2 + 0.01 * 400 + 1 / 12) ** 0.5, rel=0.03)
    assert optics.expose(torch.tensor([[[[-5.0, 2000.4]]]]), sensor, None).flatten().tolist() == [0, 1023]


def test_pan_is_degraded_with_the_phase_of_the_ground_truth():
    sensor = sensors.get("wv3")
    ramp = torch.arange(256.0).expand(1, 1, 256, 256)
    low = optics.degrade_pan(ramp, sensor)
    assert low.shape == (1, 1, 64, 64)
    assert torch.equal(low[0, 0, 30, 10:-10], torch.arange(256.0)[2::4][10:-10])


@pytest.mark.parametrize("key", ["wv3", "qb"])
def test_statistics_lie_near_those_of_real_scenes(key):
    """Bounds around the real scenes' table in docs/simulation.md, on a town and a village."""
    for number in (0, 3):
        chunk = Chunk(key, 0, "full", number)
        images = chunk.make()
        ms, pan = images["ms"][0].astype(float), images["pan"][0, 0].astype(float)
        bands = ms.reshape(len(ms), -1)
        mean_pan = pan.reshape(128, 4, 128, 4).mean((1, 3)).ravel()
        design = np.vstack([bands, np.ones(bands.shape[1])]).T
        left = mean_pan - design @ np.linalg.lstsq(design, mean_pan, rcond=None)[0]
        assert 0.85 < 1 - left.var() / mean_pan.var() < 0.998
        table = np.corrcoef(bands)
        assert 0.5 < np.mean([table[band, band + 1] for band in range(len(ms) - 1)]) < 0.995
        gradient = np.diff(pan, axis=1)
        assert ((gradient - gradient.mean()) ** 4).mean() / gradient.var() ** 2 > 5
        assert np.all(bands.std(1) / bands.mean(1) > 0.1)
        assert bands.mean() < sensors.get(key).scale / 2


def test_kinds_of_scene_take_turns_in_every_split():
    for name in ("train", "valid", "reduced", "full"):
        assert {Chunk("wv3", 0, name, number).kind for number in range(len(KINDS))} == set(KINDS)
