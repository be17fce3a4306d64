from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.datasets.published import NAMES, arrays, write
from waldbench import datasets
from waldbench.bench.data_check import check_data, exp_scores
from waldbench.catalogue import UnknownNameError
from waldbench.datasets.pancollection import WorldView3
from waldbench.datasets.published import PublishedScores


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Every file of wv3 in the published layout, far smaller and fewer."""
    for split in NAMES:
        write(tmp_path / NAMES[split].format("wv3"), arrays("wv3", split, 3, 64 if split in {"train", "valid"} else 96))
    return tmp_path


def text(key: str, root: Path) -> tuple[str, bool]:
    lines, sound = check_data(key, root)
    return "\n".join(lines), sound


@pytest.mark.parametrize("key", ["wv3", "wv2", "qb", "gf2"])
def test_nothing_there(tmp_path: Path, key: str) -> None:
    said, sound = text(key, tmp_path)
    assert not sound
    assert str(tmp_path) in said
    for line in ("SIMULATED twin", "github.com/liangjiandeng/PanCollection", "elsting/PanCollection", "--data-root"):
        assert line in said
    assert f"test_{key}_OrigScale_multiExm1.h5" in said
    assert said.count("MISSING") == (2 if key == "wv2" else 4)


def test_complete_files_are_measured(whole: Path) -> None:
    said, sound = text("wv3", whole)
    assert sound
    assert "MISSING" not in said
    assert "reduced: lms differs from the 23-tap interpolation of ms by at most" in said
    assert said.count("(equal)") == 3
    assert "reduced: EXP over 3 images: SAM " in said
    assert "full: EXP over 3 images" in said
    assert "not compared: published values are means over 20 images" in said


def test_a_missing_training_file_is_not_sound_but_the_rest_is_measured(whole: Path) -> None:
    (whole / "train_wv3.h5").unlink()
    said, sound = text("wv3", whole)
    assert not sound
    assert "missing: train. Until they are there, train stay empty." in said
    assert "EXP over 3 images" in said


def test_every_broken_file_is_named(whole: Path) -> None:
    (whole / "train_wv3.h5").write_text("<html>")
    (whole / NAMES["full"].format("wv3")).write_bytes(b"nothing")
    said, sound = text("wv3", whole)
    assert not sound
    assert said.count("BROKEN") == 2
    assert "saved web page" in said


def test_files_that_do_not_follow_from_each_other_are_told(whole: Path) -> None:
    content = arrays("wv3", "reduced", 3, 96)
    content["lms"] = content["lms"] + 0.4
    content["ms"] = content["ms"] + 3
    write(whole / NAMES["reduced"].format("wv3"), content)
    said, _ = text("wv3", whole)
    assert "by at most 2.6 DN (NOT as documented), ms from the blurred, decimated gt by at most 3 DN (NOT as documented)" in said
    content = arrays("wv3", "reduced", 3, 96)
    write(whole / NAMES["reduced"].format("wv3"), content | {"lms": np.round(content["lms"])})
    assert "(equal but for rounding), ms" in text("wv3", whole)[0]


def test_scores_tell_which_scene_set_a_file_holds(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = WorldView3(whole)
    indices = WorldView3.interpolation_indices
    ours = {
        name: PublishedScores(
            dict(zip(keys, exp_scores(dataset.split(name), dataset.sensor, keys, border).mean(0).tolist(), strict=True)), label, 3
        )
        for (name, keys), border, label in zip(indices.items(), (21, 0), ("ours", "the second set"), strict=True)
    }
    other = PublishedScores({"d_lambda_k": 0.9, "d_s": 0.9, "hqnr": 0.01}, "the other set", 3)
    published = {"reduced": (ours["reduced"],), "full": (other, ours["full"])}
    with monkeypatch.context() as patch:
        patch.setattr(WorldView3, "interpolation_scores", published)
        said, sound = text("wv3", whole)
    assert sound
    assert "these are ours" in said
    assert "these are the second set" in said
    assert "the other set" not in said
    real = {name: tuple(one._replace(images=3) for one in scores) for name, scores in WorldView3.interpolation_scores.items()}
    monkeypatch.setattr(WorldView3, "interpolation_scores", real)
    said, sound = text("wv3", whole)
    assert not sound
    assert "DIFFERS from the published 5.8, 7.155, 0.627" in said
    assert "0.0232, 0.0813, 0.8975; or 0.0456, 0.1201, 0.84" in said


PLUGIN = '''
"""Published images of a sensor of four bands."""

from waldbench.datasets.base import register
from waldbench.datasets.hdf5 import ImageFile, check_images
from waldbench.datasets.published import HDF5Dataset, PublishedFile, PublishedScores
from waldbench.datasets.splits import FileSplit


@register("four", task="ms", sensor="qb", title="Four bands")
class Four(HDF5Dataset):
    """Four bands."""

    key, task, sensor_key = "four", "ms", "qb"
    files = (PublishedFile("reduced", ("four.h5",), 3), PublishedFile("train", ("four-train.h5",), optional=True))
    download = "https://example.org/four"
    interpolation_indices = {"reduced": ("sam",)}
    interpolation_scores = {"reduced": (PublishedScores({"sam": 80.0}, images=3),)}

    @classmethod
    def open_file(cls, role, path):
        file = ImageFile(path)
        check_images(file, {"ms": 4, "pan": 1, "gt": 4}, 4)
        return file

    def read_files(self, files):
        return {role: FileSplit(file, role, 4) for role, file in files.items()}
'''


def test_a_new_published_dataset_is_checked_by_what_its_one_file_says(tmp_path: Path) -> None:
    plugin = tmp_path / "four_bands.py"
    plugin.write_text(PLUGIN)
    datasets.catalogue.add_file(plugin)
    try:
        said, sound = text("four", tmp_path)
        assert not sound
        assert "Four bands: files expected in" in said
        assert "download by hand, in a browser, from https://example.org/four" in said
        write(tmp_path / "four.h5", arrays("qb", "reduced", 3, 96) | {"pan": np.zeros((3, 1, 4, 4))})
        assert "BROKEN" in text("four", tmp_path)[0]
        write(tmp_path / "four.h5", arrays("qb", "reduced", 3, 96))
        said, sound = text("four", tmp_path)
        assert not sound
        assert "EXP over 3 images: SAM" in said
        assert "DIFFERS from the published 80.0" in said
    finally:
        datasets.catalogue.remove_file(plugin)


def test_border_is_cut_for_reduced_scores_only(whole: Path) -> None:
    dataset = WorldView3(whole)
    cut = exp_scores(dataset.split("reduced"), dataset.sensor, ("sam",), 21)
    uncut = exp_scores(dataset.split("reduced"), dataset.sensor, ("sam",), 0)
    assert tuple(cut.shape) == (3, 1)
    assert bool((cut != uncut).any())


def test_a_scene_is_described(tmp_path: Path) -> None:
    content = arrays("qb", "full", 1, 256)
    tifffile.imwrite(tmp_path / "qb_ms.tif", content["ms"][0].astype(np.uint16), photometric="minisblack")
    tifffile.imwrite(tmp_path / "qb_pan.tif", content["pan"][0, 0].astype(np.uint16))
    said, sound = text(f"scene:{tmp_path / 'qb'}", tmp_path)
    assert sound
    assert "scene-qb: QuickBird, 4 bands, ratio 4, 11 bits, source user" in said
    assert "4x64x64" in said
    said, sound = text(f"scene:{tmp_path / 'x'}", tmp_path)
    assert not sound
    assert "prefixes there: qb" in said


def test_unknown_keys_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown dataset 'wv33'; nearest: wv3"):
        check_data("wv33", tmp_path)


def test_other_datasets_report_what_opening_them_says(tmp_path: Path) -> None:
    assert check_data("scene", tmp_path)[1] is False


def test_partly_published_files_of_worldview2_are_complete_without_training(tmp_path: Path) -> None:
    for split in ("reduced", "full"):
        write(tmp_path / NAMES[split].format("wv2"), arrays("wv2", split, 2, 96))
    said, sound = text("wv2", tmp_path)
    assert sound
    assert "optional, not found" in said
    assert "no published values to compare with" in said
