from __future__ import annotations

import multiprocessing
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from tests.datasets.published import NAMES, arrays, write, write_all
from waldbench import datasets
from waldbench.datasets.base import DatasetError, Split
from waldbench.datasets.pancollection import QuickBird, WorldView3
from waldbench.imaging import interp23, sensors

KEYS = ("wv3", "wv2", "qb", "gf2")
REDUCED = NAMES["reduced"].format("wv3")


def first_value(split: Split, index: int) -> float:
    return float(split[index].ms[0, 0, 0, 0])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_all(tmp_path, "wv3")
    return tmp_path


@pytest.fixture
def twin(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(key: str, **options: object) -> SimpleNamespace:
        return SimpleNamespace(key=key, source="simulated", notices=["made up"], options=options)

    monkeypatch.setitem(sys.modules, "waldbench.datasets.simulated", SimpleNamespace(SimulatedTwin=make))


@pytest.mark.parametrize("key", KEYS)
def test_published_files_open_with_their_sensor(tmp_path: Path, key: str) -> None:
    write_all(tmp_path, key)
    dataset = datasets.open(key, root=tmp_path, source="published")
    assert (dataset.key, dataset.task, dataset.source, dataset.sensor) == (key, "ms", "published", sensors.get(key))
    for name in NAMES:
        scene = dataset.split(name)[:]
        bands = dataset.sensor.count
        assert tuple(scene.ms.shape) == (3, bands, 16, 16)
        assert tuple(scene.lms.shape) == (3, bands, 64, 64)
        assert tuple(scene.guide.shape) == (3, 1, 64, 64)
        assert (scene.gt is None) == (name == "full")
        assert all(image.dtype == torch.float32 for image in scene.images().values())


def test_pixels_are_those_of_the_file(root: Path) -> None:
    content = arrays("wv3", "train")
    scene = datasets.open("wv3", root=root).split("train")[[2, 0, 2]]
    for name, image in {"ms": scene.ms, "lms": scene.lms, "pan": scene.guide, "gt": scene.gt}.items():
        assert image is not None
        np.testing.assert_array_equal(image.numpy(), content[name][[2, 0, 2]].astype(np.float32))
    assert scene.name == ("wv3-train-02", "wv3-train-00", "wv3-train-02")


def test_lms_may_overshoot_the_scale(tmp_path: Path) -> None:
    content = arrays("gf2", "reduced")
    content["lms"] = content["lms"] + 1043
    write(tmp_path / NAMES["reduced"].format("gf2"), content)
    scene = datasets.open("gf2", root=tmp_path).split("reduced")[0]
    assert float(scene.lms.max()) > 1043


@pytest.mark.parametrize(
    "place",
    [
        "train_wv3_9714.h5",
        "TRAIN_WV3.H5",
        "wv3/train_wv3.h5",
        "WV3/train_wv3.h5",
        "training_data/train_wv3.h5",
        "training_data/WV3/train_wv3.h5",
        "wv3/training_data/train_wv3_9714.h5",
        "PanCollection/training_data/train_wv3.h5",
        "reduced_examples_h5/train_wv3.h5",
        "full_examples_h5/train_wv3.h5",
    ],
)
def test_both_spellings_are_found_in_the_published_folders(tmp_path: Path, place: str) -> None:
    write(tmp_path / place, {"ms": np.ones(1)})
    assert WorldView3.find_files(tmp_path) == {"train": tmp_path / place}


def test_root_from_the_environment_then_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_all(tmp_path / "data", "qb")
    assert set(QuickBird.find_files(None)) == set(NAMES)
    write_all(tmp_path / "elsewhere", "qb", ("reduced",))
    monkeypatch.setenv("WALDBENCH_DATA", str(tmp_path / "elsewhere"))
    assert QuickBird.find_files(None)["reduced"] == tmp_path / "elsewhere" / NAMES["reduced"].format("qb")


def test_missing_files_fall_back_to_the_twin_and_say_so(tmp_path: Path, twin: None) -> None:
    opened = datasets.open("wv3", root=tmp_path, seed=5)
    assert (opened.source, vars(opened)["options"]) == ("simulated", {"seed": 5})
    assert f"published files of wv3 not found in {tmp_path}" in opened.notices[0]
    assert "SIMULATED" in opened.notices[0]
    assert opened.notices[1] == "made up"


def test_the_twin_is_used_when_asked_for_even_beside_published_files(root: Path, twin: None) -> None:
    assert datasets.open("wv3", root=root, source="simulated").notices == ["made up"]
    assert datasets.open("wv3", root=root).source == "published"


def test_published_source_without_files_names_file_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"test_wv3_multiExm1\.h5.*--data-root.*run_bench\.py data wv3.*simulated"):
        datasets.open("wv3", root=tmp_path, source="published")


def test_unknown_source(root: Path) -> None:
    with pytest.raises(DatasetError, match="expected auto, published or simulated, got 'web'"):
        datasets.open("wv3", root=root, source="web")


def test_partial_download_leaves_splits_empty_with_a_notice(tmp_path: Path) -> None:
    write_all(tmp_path, "wv3", ("reduced",))
    dataset = datasets.open("wv3", root=tmp_path)
    assert [len(dataset.split(name)) for name in ("train", "valid", "reduced", "full")] == [0, 0, 3, 0]
    assert [notice for notice in dataset.notices if "train_wv3.h5 or train_wv3_9714.h5 not found" in notice]
    with pytest.raises(IndexError):
        dataset.split("train")[0]
    with pytest.raises(DatasetError, match="no file for 'train'"):
        dataset.split("train")[:]


def test_worldview2_has_no_training_files_and_does_not_complain(tmp_path: Path) -> None:
    write_all(tmp_path, "wv2", ("reduced", "full"))
    assert not [notice for notice in datasets.open("wv2", root=tmp_path).notices if "not found" in notice]


def test_missing_lms_is_interpolated_with_a_notice(tmp_path: Path) -> None:
    content = arrays("wv3", "reduced")
    del content["lms"]
    write(tmp_path / REDUCED, content)
    dataset = datasets.open("wv3", root=tmp_path)
    assert [notice for notice in dataset.notices if "no 'lms'" in notice]
    scene = dataset.split("reduced")[1]
    torch.testing.assert_close(scene.lms, interp23(scene.ms, 4))


def test_counts_other_than_published_are_noticed(root: Path) -> None:
    assert "train: 3 images; the published file has 9714" in datasets.open("wv3", root=root).notices
    assert [file.images for file in QuickBird.files] == [17139, 1905, 20, 20]


def test_worldview3_full_warns_of_two_scene_sets(root: Path) -> None:
    assert [notice for notice in datasets.open("wv3", root=root).notices if ".mat test scenes" in notice]


@pytest.mark.parametrize(("shift", "pixels"), [((0, 1), (0, 4)), ((1, 0), (4, 0)), ((-1, 0), (-4, 0))])
def test_shifted_training_patches_are_detected(tmp_path: Path, shift: tuple[int, int], pixels: tuple[int, int]) -> None:
    write_all(tmp_path, "qb", ("reduced", "full", "valid"))
    good, bad = arrays("qb", "train", 10), arrays("qb", "train", 10, shift=shift)
    write(tmp_path / "train_qb.h5", {name: np.concatenate([good[name][:3], bad[name][3:]]) for name in good})
    found = [notice for notice in datasets.open("qb", root=tmp_path).notices if "shifted" in notice]
    assert len(found) == 1
    assert "train: ms is shifted against gt in 70% of 10 sampled patches" in found[0]
    assert f"{pixels} PAN pixels" in found[0]


def test_flat_patches_do_not_count_as_shifted(tmp_path: Path) -> None:
    write_all(tmp_path, "qb", ("reduced",))
    content = {name: np.full_like(array, 300.0) for name, array in arrays("qb", "train").items()}
    write(tmp_path / "train_qb.h5", content)
    assert not [notice for notice in datasets.open("qb", root=tmp_path).notices if "shifted" in notice]


def test_gaofen2_uses_its_own_scale(tmp_path: Path) -> None:
    content = arrays("gf2", "reduced")
    content["ms"][0] = 1500.0
    write(tmp_path / NAMES["reduced"].format("gf2"), content)
    dataset = datasets.open("gf2", root=tmp_path)
    assert dataset.sensor.scale == 1023
    assert "reduced: ms reaches 1500, more than the 10 bits (scale 1023)" in "".join(dataset.notices)


def damage(name: str, path: Path) -> None:
    content = arrays("wv3", "reduced")
    if name == "html":
        path.write_text("<!DOCTYPE html><html><title>Google Drive - virus scan warning</title></html>")
    elif name == "text":
        path.write_text("404: not found")
    elif name == "lfs":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    elif name == "empty":
        path.write_bytes(b"")
    elif name == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif name == "no gt":
        write(path, {key: array for key, array in content.items() if key != "gt"})
    elif name == "no pan":
        write(path, {key: array for key, array in content.items() if key != "pan"})
    elif name == "channels last":
        write(path, {key: np.moveaxis(array, 1, -1) for key, array in content.items()})
    elif name == "bands":
        write(path, {key: array[:, :4] for key, array in content.items()})
    elif name == "ratio":
        write(path, content | {"pan": content["pan"][..., :32, :32]})
    elif name == "count":
        write(path, content | {"pan": content["pan"][:2]})
    elif name == "no images":
        write(path, {key: array[:0] for key, array in content.items()})
    elif name == "scaled":
        write(path, {key: array / 2047 for key, array in content.items()})
    elif name == "nan":
        content["ms"][0, 3, 5, 7] = np.nan
        write(path, content)


@pytest.mark.parametrize(
    ("defect", "message"),
    [
        ("html", r"expected an HDF5 file, found a saved web page of \d+ bytes.*download it again"),
        ("text", "expected an HDF5 file, found 14 bytes of another format"),
        ("lfs", "Git LFS pointer"),
        ("empty", "expected an HDF5 file, found 0 bytes"),
        ("truncated", "truncated at .* bytes.*download it again"),
        ("no gt", "missing: gt; found: .*file of another split"),
        ("no pan", "missing: pan"),
        ("channels last", r"'ms' has shape \(3, 16, 16, 8\); expected \(N, 8, H, W\)"),
        ("bands", r"'ms' has shape \(3, 4, 16, 16\); expected \(N, 8, H, W\)"),
        ("ratio", r"'pan' has shape \(3, 1, 32, 32\).*4 times the sides of 'ms' \(3, 8, 16, 16\)"),
        ("count", r"'pan' has shape \(2, 1, 64, 64\)"),
        ("no images", r"'ms' has shape \(0, 8, 16, 16\)"),
        ("scaled", "'ms' reaches .* only; expected digital numbers of 11 bits"),
        ("nan", "'ms' has 1 NaN or infinite values, first in image 0"),
    ],
)
def test_a_broken_file_is_named_with_its_defect(root: Path, defect: str, message: str) -> None:
    path = root / REDUCED
    damage(defect, path)
    with pytest.raises(DatasetError, match=message) as caught:
        datasets.open("wv3", root=root)
    assert str(path) in str(caught.value)


def test_nan_in_an_image_that_opening_does_not_sample(root: Path) -> None:
    content = arrays("wv3", "full", 7)
    content["lms"][5, 0, 0, 0] = np.inf
    write(root / NAMES["full"].format("wv3"), content)
    split = datasets.open("wv3", root=root).split("full")
    assert len(split[:5]) == 5
    with pytest.raises(DatasetError, match="'lms' has 1 NaN or infinite values, first in image 5"):
        _ = split[[6, 4, 5]]


def test_read_only_files_in_a_read_only_folder(root: Path) -> None:
    for path in root.iterdir():
        path.chmod(0o444)
    root.chmod(0o555)
    try:
        before = {path: path.stat().st_mtime_ns for path in root.iterdir()}
        assert len(datasets.open("wv3", root=root).split("train")[:]) == 3
        assert {path: path.stat().st_mtime_ns for path in root.iterdir()} == before
    finally:
        root.chmod(0o755)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_split_travels_to_other_processes(root: Path, method: str) -> None:
    split = datasets.open("wv3", root=root).split("train")
    expected = [first_value(split, index) for index in (0, 1, 2)]
    with ProcessPoolExecutor(2 if method == "fork" else 1, mp_context=multiprocessing.get_context(method)) as pool:
        assert list(pool.map(first_value, [split] * 12, [0, 1, 2] * 4)) == expected * 4
    assert first_value(pickle.loads(pickle.dumps(split)), 2) == expected[2]


def test_threads_read_at_the_same_time(root: Path) -> None:
    split = datasets.open("wv3", root=root).split("train")
    expected = [first_value(split, index) for index in (0, 1, 2)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(first_value, [split] * 90, [0, 1, 2] * 30)) == expected * 30


def test_fingerprint_follows_the_content_only(tmp_path: Path) -> None:
    for folder, name in (("a", "train_wv3.h5"), ("b", "train_wv3_9714.h5")):
        paths = write_all(tmp_path / folder, "wv3", ("reduced",))
        write(tmp_path / folder / name, arrays("wv3", "train"))
    a, b = (datasets.open("wv3", root=tmp_path / folder).fingerprint for folder in "ab")
    assert a == b
    with h5py.File(paths["reduced"], "r+") as file:
        file["pan"][0, 0, 0, 0] += 1
    assert datasets.open("wv3", root=tmp_path / "b").fingerprint != a


def test_catalogue_lists_the_four_sensors() -> None:
    for key in KEYS:
        assert datasets.card(key)["sensor"] == key
        assert datasets.card(key)["task"] == "ms"


def test_the_embedded_twin_stands_in(tmp_path: Path) -> None:
    dataset = datasets.open("qb", root=tmp_path, cache=tmp_path, seed=3)
    assert (dataset.source, dataset.sensor.key) == ("simulated", "qb")
    assert "using the embedded SIMULATED twin" in dataset.notices[0]
    assert len(dataset.notices) > 1
