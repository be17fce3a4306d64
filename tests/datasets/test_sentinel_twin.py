from __future__ import annotations

import numpy as np
import pytest
import torch

from waldbench import datasets
from waldbench.datasets.base import DatasetError
from waldbench.datasets.simulated.clouds import draw
from waldbench.datasets.simulated.materials import NAMES
from waldbench.datasets.simulated.optics import Weather
from waldbench.datasets.simulated.sentinel_materials import TABLE
from waldbench.datasets.simulated.sentinel_twin import Chunk, SentinelTwin
from waldbench.imaging.clouds import coverage, covered


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def scene(folder):
    return SentinelTwin(cache=folder).split("reduced")[[2, 4]]


def test_cloud_removal_has_the_shapes_of_the_published_patches(scene):
    assert scene.ms.shape == scene.gt.shape == (2, 13, 256, 256)
    assert scene.guide.shape == (2, 2, 256, 256)
    assert scene.mask.shape == (2, 1, 256, 256)
    assert torch.equal(scene.ms, scene.lms)
    scene.check_finite()


def test_values_are_digital_numbers_and_decibels(scene):
    for optical in (scene.ms, scene.gt):
        assert torch.equal(optical, optical.round())
        assert 1 <= float(optical.min()) <= float(optical.max()) < 20000
    vv, vh = scene.guide.mean((0, 2, 3)).tolist()
    assert -16 < vv < -6
    assert 5 < vv - vh < 10
    assert float(scene.gt[:, 10].mean()) < 60  # nothing of the ground at 1375 nm


def test_clouds_hide_what_the_mask_says(scene):
    hidden = covered(scene.mask)
    assert bool(hidden.any())
    assert bool((~hidden).any())
    error = (scene.ms - scene.gt).abs().mean(1, keepdim=True)
    assert float(error[hidden].mean()) > 3 * float(error[~hidden].mean())


def test_covers_take_turns_between_the_bins(folder):
    split = SentinelTwin(cache=folder).split("reduced")
    assert float(coverage(split[0].mask)) < 0.45
    assert float(coverage(split[2].mask)) < float(coverage(split[4].mask)) or float(coverage(split[3].mask)) > 0.5


def test_radar_tells_land_from_water_through_clouds():
    table = np.array([TABLE[name] for name in NAMES])
    assert set(TABLE) == set(NAMES)
    assert (table[:, 0] > table[:, 1]).all()
    assert TABLE["deep water"][0] < TABLE["crop"][0] < TABLE["zinc"][0]


def test_speckle_has_the_looks_it_claims():
    chunk = Chunk(0, "reduced", 3)
    sar = 10 ** (chunk.make()["sar"][0] / 10)
    # The darkest smooth place is water: its relative deviation is that of the speckle.
    blocks = sar[0].reshape(16, 16, 16, 16).transpose(0, 2, 1, 3).reshape(256, 256)
    calm = blocks[blocks.mean(1).argmin()]
    assert calm.std() / calm.mean() == pytest.approx(4.4**-0.5, rel=0.25)


def test_a_chunk_is_the_same_every_time_and_another_seed_is_not():
    first, again = Chunk(0, "valid", 0).make(), Chunk(0, "valid", 0).make()
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert {name: image.shape for name, image in first.items()} == {
        "sar": (25, 2, 64, 64),
        "clear": (25, 13, 64, 64),
        "cloudy": (25, 13, 64, 64),
        "mask": (25, 1, 64, 64),
    }
    assert not np.array_equal(first["clear"], Chunk(1, "valid", 0).make()["clear"])


def test_both_tracks_share_the_images(folder, scene):
    sharp = SentinelTwin(cache=folder, track="sar-sharp")
    other = sharp.split("reduced")[[2, 4]]
    assert torch.equal(other.gt, scene.gt[:, [1, 2, 3, 7]])
    assert torch.equal(other.guide, scene.guide)
    assert other.ms.shape == (2, 4, 64, 64)
    assert other.mask is None
    assert (sharp.label, len(sharp.split("full"))) == ("sen12mscr-sar-sharp-simulated", 0)


def test_a_broken_file_of_the_cache_is_made_again(folder, scene):
    twin = SentinelTwin(cache=folder)
    (twin.folder / "reduced" / "00002.npz").write_bytes(b"torn")
    assert torch.equal(twin.split("reduced")[2].gt, scene.gt[:1])


def test_the_registry_falls_back_to_the_twin(tmp_path):
    opened = datasets.open("sen12mscr", root=tmp_path, track="sar-sharp")
    assert (opened.source, opened.track) == ("simulated", "sar-sharp")
    assert "SIMULATED twin" in opened.notices[0]


def test_wrong_requests_are_refused():
    with pytest.raises(DatasetError, match="unknown track 'cloud'"):
        SentinelTwin(track="cloud")
    with pytest.raises(DatasetError, match="at least 0"):
        SentinelTwin(seed=-1)


@pytest.mark.parametrize("cover", [0.0, 0.3, 0.9])
def test_clouds_cover_what_is_asked(cover):
    sky = draw(np.random.default_rng(3), 256, cover, Weather(0.9, 1.0, 1.0))
    assert float((sky.opacity > 0).mean()) == pytest.approx(cover, abs=0.01)
    assert float(sky.mask.max()) <= 1.0
    assert (sky.shadow.max() > 0) or cover == 0 or float(sky.opacity.max()) < 0.6
