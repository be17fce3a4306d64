"""The remaining classic methods against vectors of the reference toolbox, whose own slips `variant="toolbox"` repeats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import methods
from imaging import sensors
from tests.golden.parity import scene
from tests.golden.vectors import FULL, SUBSET, deviation, image_deviation, load, needs_full

# Vector -> registry key and options; labels are inputs that the vectors bring along.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "MTF_GLP_HPM_H_nodec": ("mtf-glp-hpm-h", {"decimated": False}),
    "C_GSA": ("c-gsa", {}),
    "C_BDSD": ("c-bdsd", {"variant": "toolbox"}),
    "FE_HPM": ("fe-hpm", {}),
    "PWMBF": ("pwmbf", {}),
    "SR_D": ("sr-d", {}),
    "RR_Gstep": ("rr", {"variant": "toolbox"}),
    "TV": ("tv", {"variant": "toolbox"}),
    "TV_GE1": ("tv", {"variant": "toolbox", "tuned_for": "ge1"}),
}
CASES = [(name, sensor) for name in METHODS for sensor in ("wv3", "qb") if (name, sensor) != ("TV_GE1", "wv3")]
TOLERANCE = 1e-6


@pytest.fixture(autouse=True)
def one_thread():
    """Small images on shared cores: more threads wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fuse(name: str, sensor: str, dtype: torch.dtype = torch.float64, **changes: Any) -> torch.Tensor:
    key, options = METHODS[name]
    if name.startswith("C_"):
        options = options | {"labels": torch.from_numpy(load("classic_more")[f"{sensor}_{name}_labels"]).long()}
    if name == "TV" and sensor == "qb":
        options = options | {"tuned_for": "ikonos"}
    images = scene(sensor).to(dtype)
    return methods.create(key, sensor=sensors.get(sensor), **options | changes)(images.ms, images.lms, images.guide)


def worst(name: str, sensor: str, result: torch.Tensor, step: int, folder: Path) -> float:
    vectors = load(f"methods_rr_{sensor}", folder)
    return max(
        image_deviation(result[..., ::step, ::step], vectors[f"{name}__s{step}"]),
        deviation(result.mean((-2, -1)), vectors[f"{name}__mean"]),
        deviation(result.std((-2, -1)), vectors[f"{name}__sd"]),
    )


@pytest.mark.parametrize(("name", "sensor"), CASES)
def test_subset(name, sensor):
    assert worst(name, sensor, fuse(name, sensor), 9, SUBSET) < TOLERANCE


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
