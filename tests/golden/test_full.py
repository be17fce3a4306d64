"""The full golden vectors, where they lie beside the project: all sampled pixels, whole float32 images, full resolution."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden.parity import FUSED, LOOSE, METHODS, SENSORS, fused, made, scene
from tests.golden.vectors import FULL, deviation, image, image_deviation, load, needs_full
from waldbench import methods, metrics
from waldbench.imaging import Scene, interp23, sensors
from waldbench.metrics.hypercomplex import q2n_map
from waldbench.metrics.spectral import sam_map

pytestmark = needs_full
# Methods, and the sensors on whose full-resolution scene the modulation leaves [0, 10] somewhere: only the variant is equal.
CLIPPED = {("mtf-glp-hpm", "wv3"), ("mtf-glp-hpm", "qb")}


def full_scene(sensor: str) -> Scene:
    inputs = load("inputs_fr", FULL)
    ms, pan = image(inputs[f"{sensor}_ms_lr"]), image(inputs[f"{sensor}_pan"])
    return Scene(ms=ms, lms=interp23(ms, 4), guide=pan)


@pytest.mark.parametrize("sensor", SENSORS)
@pytest.mark.parametrize("name", METHODS)
def test_reduced_resolution(name, sensor):
    key, options, golden = METHODS[name]
    vectors, images = load(f"methods_rr_{sensor}", FULL), scene(sensor)
    result = methods.create(key, sensor=sensors.get(sensor), **options)(images.ms, images.lms, images.guide)
    assert image_deviation(result[..., ::3, ::3], vectors[f"{golden}__s3"]) < LOOSE.get(name, 1e-9)
    if golden in vectors:
        assert image_deviation(result, vectors[golden]) < 3e-7


@pytest.mark.parametrize("sensor", SENSORS)
@pytest.mark.parametrize("name", METHODS)
def test_full_resolution(name, sensor):
    key, options, golden = METHODS[name]
    vectors = load("methods_fr", FULL)
    if f"{sensor}_{golden}__s7" not in vectors:
        pytest.skip(f"no full-resolution vectors of {golden}")
    if (name, sensor) in CLIPPED:
        pytest.skip("the modulation leaves [0, 10]; the variant 'toolbox' is compared")
    images = full_scene(sensor)
    result = methods.create(key, sensor=sensors.get(sensor), **options)(images.ms, images.lms, images.guide)
    assert image_deviation(result[..., ::7, ::7], vectors[f"{sensor}_{golden}__s7"]) < LOOSE.get(name, 1e-9)
    assert deviation(result.mean((-2, -1)), vectors[f"{sensor}_{golden}__mean"]) < LOOSE.get(name, 1e-9)
    assert deviation(result.std((-2, -1)), vectors[f"{sensor}_{golden}__sd"]) < LOOSE.get(name, 1e-9)


@pytest.mark.parametrize("sensor", SENSORS)
@pytest.mark.parametrize("golden", FUSED)
def test_maps(golden, sensor):
    vectors = load("indices_rr", FULL)
    result, gt = fused(sensor, golden), scene(sensor).gt
    angles = np.deg2rad(sam_map(result, gt)[0, ::3, ::3].numpy())
    assert deviation(angles, vectors[f"{sensor}_{golden}_SAM_map__s3"]) < 1e-7
    assert deviation(q2n_map(result, gt)[0], vectors[f"{sensor}_{golden}_q2n_map"]) < 1e-6


@pytest.mark.parametrize("sensor", SENSORS)
@pytest.mark.parametrize("golden", FUSED)
def test_indices_at_full_resolution(golden, sensor):
    vectors, images = load("indices_noref", FULL), full_scene(sensor)
    result = made(sensor, golden)(images.ms, images.lms, images.guide)
    for names, title in (("d_lambda d_s qnr", "QNR_Dlambda_Ds_QNR"), ("d_lambda_k d_s hqnr", "HQNR_DlambdaK_Ds_HQNR")):
        values = [float(metrics.compute(name, result, images, sensor=sensors.get(sensor))) for name in names.split()]
        assert np.abs(values - vectors[f"fr_{sensor}_{golden}_{title}"]).max() < 1e-7
