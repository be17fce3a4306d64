"""The other readings of CF2N in examples/: each is another network, runs, and has no parameter without a gradient."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.methods.test_deep import scene
from waldbench import methods
from waldbench.imaging import sensors

PLUGIN = Path(__file__).parents[2] / "examples" / "cf2n_ablation.py"
KEYS = ["cf2n-convex", "cf2n-add", "cf2n-raw", "cf2n-gap", "cf2n-split", "cf2n-filter", "cf2n-plain", "cf2n-no-skip"]
KEYS += ["cf2n-n3", "cf2n-n5"]
SENSOR = sensors.get("wv3")


@pytest.fixture(scope="module", autouse=True)
def _plugin():
    methods.catalogue.add_file(PLUGIN)
    yield
    methods.catalogue.remove_file(PLUGIN)


def test_every_variant_is_listed():
    assert {key for key in methods.names() if key.startswith("cf2n-")} - {"cf2n-lite"} == set(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_a_variant_differs_and_trains(key):
    images = scene(8, 24, 20)
    torch.manual_seed(0)
    reference = methods.create("cf2n", sensor=SENSOR)(*images)
    torch.manual_seed(0)
    variant = methods.create(key, sensor=SENSOR)
    fused = variant(*images)
    assert fused.shape == reference.shape
    assert not torch.allclose(fused, reference)
    fused.square().mean().backward()
    still = [name for name, p in variant.named_parameters() if p.grad is None or not p.grad.abs().any()]
    assert still == []
