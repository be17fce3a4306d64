from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.datasets.published import NAMES, arrays, write
from waldbench.bench import data_check
from waldbench.bench.data_check import ANCHORS, Anchor, check_data, exp_scores
from waldbench.catalogue import UnknownNameError
from waldbench.datasets.pancollection import WorldView3


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
    monkeypatch.setattr(data_check, "IMAGES", 3)
    reduced = exp_scores(dataset.split("reduced"), dataset.sensor, data_check.REDUCED, 21).mean(0).tolist()
    full = exp_scores(dataset.split("full"), dataset.sensor, data_check.FULL, 0).mean(0).tolist()
    other = Anchor((0.9, 0.9, 0.01), "the other set")
    ours = {("wv3", "reduced"): [Anchor(tuple(reduced), "ours")], ("wv3", "full"): [other, Anchor(tuple(full), "the second set")]}
    monkeypatch.setattr(data_check, "ANCHORS", ours)
    said, sound = text("wv3", whole)
    assert sound
    assert "these are ours" in said
    assert "these are the second set" in said
    assert "the other set" not in said
    monkeypatch.setattr(data_check, "ANCHORS", ANCHORS)
    said, sound = text("wv3", whole)
    assert not sound
    assert "DIFFERS from the published 5.8, 7.155, 0.627" in said


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
