"""The simulated twins: contract, determinism, cache, physics and likeness to real scenes."""

import pickle

import numpy as np
import pytest
import torch

from waldbench.datasets.base import SPLITS, DatasetError
from waldbench.datasets.simulated import SimulatedTwin, chunks
from waldbench.datasets.simulated.cache import file_of, load
from waldbench.datasets.simulated.chunks import SENSORS, Chunk
from waldbench.imaging import interp23
from waldbench.imaging.filters import mtf
from waldbench.imaging.resampling import decimate

# Means of ms, pan and truth of the first full-resolution QuickBird image.
RECORDED = [531.0, 553.9, 531.7]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def twin(cache):
    return SimulatedTwin("qb", cache=cache)


@pytest.mark.parametrize(
    ("key", "lengths"),
    [("wv3", (9714, 1080)), ("wv2", (9714, 1080)), ("qb", (17139, 1905)), ("gf2", (19809, 2201))],
)
def test_splits_have_the_published_lengths(key, lengths, cache):
    twin = SimulatedTwin(key, cache=cache)
    assert [len(twin.split(name)) for name in SPLITS] == [*lengths, 20, 20]
    assert twin.label == f"{key}-simulated"
    assert twin.sensor.key == key
    assert twin.notices


@pytest.mark.parametrize("name", ["train", "valid"])
def test_patches_have_the_published_shapes(twin, name):
    scene = twin.split(name)[[3, 0]]
    assert {label: tuple(image.shape) for label, image in scene.images().items()} == {
        "ms": (2, 4, 16, 16),
        "lms": (2, 4, 64, 64),
        "guide": (2, 1, 64, 64),
        "gt": (2, 4, 64, 64),
    }
    assert scene.name == (f"qb-simulated-{name}-3", f"qb-simulated-{name}-0")


def test_images_obey_walds_protocol_in_integers(twin):
    for name, indices in (("train", [1, 7]), ("reduced", [2])):
        scene = twin.split(name)[indices]
        for image in (scene.ms, scene.guide, scene.gt):
            assert torch.equal(image, image.round())
            assert 0 <= image.min() <= image.max() <= twin.sensor.scale
        assert (decimate(mtf(scene.gt, twin.sensor), 4) - scene.ms).abs().max() <= 0.51
        assert torch.equal(scene.lms, interp23(scene.ms, 4))


def test_full_resolution_hides_a_truth_that_explains_its_ms(twin):
    scene, truth = twin.split("full")[0], twin.split("full").truth(0)
    assert scene.gt is None
    assert (scene.ms.shape, scene.guide.shape, truth.shape) == ((1, 4, 128, 128), (1, 1, 512, 512), (1, 4, 512, 512))
    seen = decimate(mtf(truth, twin.sensor), 4)
    correlation = np.corrcoef(seen.flatten(), scene.ms.flatten())[0, 1]
    assert correlation > 0.99
    # The truth is not the interpolated image: there is detail to be found.
    assert (truth - scene.lms).std() > 3 * (seen - scene.ms).std()


def test_truth_is_only_for_full_resolution(twin):
    with pytest.raises(DatasetError, match="only 'full'"):
        twin.split("reduced").truth(0)
    with pytest.raises(IndexError, match="out of range"):
        twin.split("full").truth(20)


def test_an_image_depends_on_nothing_but_sensor_seed_split_and_index(twin, tmp_path):
    both = twin.split("full")[[0, 1]]
    alone = SimulatedTwin("qb", cache=tmp_path).split("full")[1]
    assert torch.equal(both.ms[1:], alone.ms)
    assert torch.equal(both.guide[1:], alone.guide)


def test_seeds_and_splits_differ(twin, cache):
    other = SimulatedTwin("qb", seed=1, cache=cache)
    assert other.fingerprint != twin.fingerprint
    assert other.folder != twin.folder
    assert not torch.equal(other.split("full")[0].ms, twin.split("full")[0].ms)
    seeds = {tuple(Chunk(key, seed, name, 0).entropy.generate_state(4)) for key in SENSORS for seed in (0, 1) for name in SPLITS}
    assert len(seeds) == 4 * 2 * 4


def test_a_broken_cache_file_is_made_again(twin):
    chunk = Chunk("qb", 0, "full", 0)
    good = load(chunk, twin.folder)
    path = file_of(chunk, twin.folder)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 0xFF
    for broken in (whole[: len(whole) // 2], b"", bytes(flipped)):
        path.write_bytes(broken)
        again = load(chunk, twin.folder)
        assert all(np.array_equal(again[name], good[name]) for name in good)
    assert not list(path.parent.glob(".*"))


def test_prepared_in_parallel_equals_made_on_demand(twin, tmp_path):
    apart = SimulatedTwin("qb", cache=tmp_path)
    apart.prepare("full", 2, workers=2)
    assert len(list((apart.folder / "full").iterdir())) == 2
    for index in (0, 1):
        assert torch.equal(apart.split("full").truth(index), twin.split("full").truth(index))
        assert torch.equal(apart.split("full")[index].guide, twin.split("full")[index].guide)


def test_the_number_of_threads_changes_nothing():
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(Chunk("qb", 3, "full", 1).make())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all(np.array_equal(results[0][name], results[1][name]) for name in results[0])


def test_splits_travel_to_workers_without_their_images(twin):
    split = twin.split("train")
    assert split[0]
    packed = pickle.dumps(split)
    assert len(packed) < 10_000
    assert torch.equal(pickle.loads(packed)[0].gt, split[0].gt)


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("WALDBENCH_CACHE", str(tmp_path))
    twin = SimulatedTwin("qb")
    assert twin.folder == tmp_path / "simulated" / twin.fingerprint[:16]


def test_errors_say_what_to_do():
    with pytest.raises(DatasetError, match="twins of wv3, wv2, qb, gf2, wdc"):
        SimulatedTwin("ikonos")
    with pytest.raises(DatasetError, match="at least 0"):
        SimulatedTwin("wv3", seed=-1)
    with pytest.raises(DatasetError, match="unknown split"):
        SimulatedTwin("wv3").split("test")


def test_the_memory_of_chunks_is_bounded(twin, monkeypatch):
    split = pickle.loads(pickle.dumps(twin.split("full")))
    monkeypatch.setattr("waldbench.datasets.simulated.twin.MEMORY", 1)
    assert split[[0, 1]].guide.shape[0] == 2
    assert len(split._memory) <= 1


def test_pixels_of_this_generator_version():
    """A change that moves pixels must raise `chunks.VERSION`; record the new means here with it."""
    images = Chunk("qb", 0, "full", 0).make()
    means = [round(float(images[name].mean()), 1) for name in ("ms", "pan", "truth")]
    assert chunks.VERSION == 1
    assert means == pytest.approx(RECORDED, abs=0.2)
