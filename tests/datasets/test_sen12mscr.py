from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile
import torch

from waldbench import datasets
from waldbench.datasets.base import DatasetError
from waldbench.datasets.sen12mscr_files import official_splits
from waldbench.imaging.filters import mtf

SIDE = 32
KINDS = {"s1": 2, "s2": 13, "s2_cloudy": 13}


def image(bands: int, seed: int) -> np.ndarray:
    """One patch as published: (H, W, bands), dB or digital numbers."""
    rng = np.random.default_rng(seed)
    if bands == 2:
        return rng.uniform(-30, 0, (SIDE, SIDE, 2)).astype(np.float32)
    return rng.integers(200, 3000, (SIDE, SIDE, bands)).astype(np.uint16)


def write_tree(root, patches):
    """Write the official tree; `patches` are (ROIs..._season, roi, patch)."""
    for number, (season, roi, patch) in enumerate(patches):
        for kind, bands in KINDS.items():
            folder = root / f"{season}_{kind}" / f"{kind}_{roi}"
            folder.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(folder / f"{season}_{kind}_{roi}_p{patch}.tif", image(bands, 10 * number + bands))


def write_flat(root, names, clear="s2_cloudFree"):
    for number, name in enumerate(names):
        for kind, bands in (("s1", 2), (clear, 13), ("s2_cloudy", 13)):
            (root / kind).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / kind / f"{name}.tif", image(bands, 10 * number + bands))


def open_at(root, **options):
    return datasets.open("sen12mscr", root=root, source="published", **options)


TREE = [
    ("ROIs1158_spring", 1, 30),
    ("ROIs1158_spring", 1, 31),
    ("ROIs1158_spring", 2, 30),
    ("ROIs1158_spring", 17, 30),
    ("ROIs1158_spring", 31, 30),
    ("ROIs2017_winter", 108, 5),
]


def test_the_official_tree_and_split(tmp_path):
    write_tree(tmp_path, TREE)
    opened = open_at(tmp_path)
    assert {name: len(opened.split(name)) for name in ("train", "valid", "reduced", "full")} == {
        "train": 3,
        "valid": 1,
        "reduced": 2,
        "full": 0,
    }
    assert opened.split("reduced")[0].name == ("ROIs1158_spring_31_p30",)
    assert (opened.task, opened.track, opened.label) == ("sar", "sar-cr", "sen12mscr-sar-cr-published")


def test_cloud_removal_reads_what_the_files_hold(tmp_path):
    write_tree(tmp_path, TREE)
    scene = open_at(tmp_path).split("train")[[0, 2]]
    assert scene.ratio == 1
    assert torch.equal(scene.ms, scene.lms)
    assert scene.guide.shape == (2, 2, SIDE, SIDE)
    assert scene.mask.shape == (2, 1, SIDE, SIDE)
    for place, number in ((0, 0), (1, 2)):
        for found, bands in ((scene.guide, 2), (scene.gt, 13)):
            expected = image(bands, 10 * number + bands).astype(np.float32).transpose(2, 0, 1)
            assert np.array_equal(found[place].numpy(), expected)


def test_sharpening_degrades_the_ten_metre_bands(tmp_path):
    write_tree(tmp_path, TREE)
    opened = open_at(tmp_path, track="sar-sharp")
    assert opened.sensor.bands == ("B2", "B3", "B4", "B8")
    scene, cloud = opened.split("reduced")[0], open_at(tmp_path).split("reduced")[0]
    assert scene.mask is None
    assert scene.ratio == 4
    assert torch.equal(scene.gt, cloud.gt[:, [1, 2, 3, 7]])
    assert torch.equal(scene.ms, mtf(scene.gt, opened.sensor, step=4).round())


@pytest.mark.parametrize("clear", ["s2_cloudfree", "s2_cloudFree"])
def test_flat_folders_are_split_by_region(tmp_path, clear):
    write_flat(tmp_path / "SEN12MSCR", [f"ROIs1970_fall_{roi}_p1" for roi in (1, 2, 65, 139)], clear)
    opened = open_at(tmp_path)
    assert [len(opened.split(name)) for name in ("train", "valid", "reduced")] == [2, 1, 1]
    assert opened.split("reduced")[0].name == ("ROIs1970_fall_139_p1",)


def test_a_csv_decides_and_its_gaps_are_counted(tmp_path):
    names = [f"patch{number}" for number in range(5)]
    write_flat(tmp_path, names)
    (tmp_path / "s1" / "patch3.tif").unlink()
    lines = [f"{code},s1,s2_cloudFree,s2_cloudy,{name}.tif" for code, name in zip("1232", names, strict=False)]
    (tmp_path / "data.csv").write_text("\n".join([*lines, "1,s1,s2_cloudFree,s2_cloudy,gone.tif"]) + "\n")
    opened = open_at(tmp_path)
    assert sum(len(opened.split(name)) for name in ("train", "valid", "reduced")) == 3
    text = "\n".join(opened.notices)
    assert "2 patches skipped: SAR, clear or cloudy file is missing" in text
    assert "1 patches skipped: not in the csv" in text


def test_a_broken_csv_is_named_with_its_line(tmp_path):
    write_flat(tmp_path, ["a"])
    (tmp_path / "data.csv").write_text("1,s1,s2_cloudFree,s2_cloudy,a.tif\ntrain,a.tif\n")
    with pytest.raises(DatasetError, match=r"data.csv, line 2: expected split,folder"):
        open_at(tmp_path)


def test_names_without_a_region_need_a_csv(tmp_path):
    write_flat(tmp_path, ["a"])
    with pytest.raises(DatasetError, match="put a csv"):
        open_at(tmp_path)


def test_incomplete_triplets_of_the_tree_are_skipped_and_counted(tmp_path):
    write_tree(tmp_path, TREE)
    (tmp_path / "ROIs1158_spring_s2" / "s2_1" / "ROIs1158_spring_s2_1_p30.tif").unlink()
    for path in (tmp_path / "ROIs1158_spring_s1" / "s1_2").iterdir():
        path.unlink()
    opened = open_at(tmp_path)
    assert len(opened.split("train")) == 1
    assert any(notice.startswith("2 patches skipped") for notice in opened.notices)


def test_a_folder_without_training_regions_is_tested_as_a_whole(tmp_path):
    write_flat(tmp_path, ["ROIs1970_fall_139_p839", "ROIs1970_fall_65_p1"])
    opened = open_at(tmp_path)
    assert [len(opened.split(name)) for name in ("train", "valid", "reduced")] == [0, 0, 2]
    assert any("all are tested and nothing is trained" in notice for notice in opened.notices)


def test_without_a_validation_region_the_last_training_region_serves(tmp_path):
    write_flat(tmp_path, [f"ROIs1970_fall_{roi}_p1" for roi in (1, 2, 139)])
    opened = open_at(tmp_path)
    assert opened.split("valid")[0].name == ("ROIs1970_fall_2_p1",)
    assert len(opened.split("train")) == 1
    assert any("ROIs1970_fall_2 is taken" in notice for notice in opened.notices)


@pytest.mark.parametrize("fill", ["mean", "zero"])
def test_nan_is_filled_and_counted(tmp_path, fill):
    write_flat(tmp_path, ["ROIs1970_fall_139_p1"])
    sar = image(2, 2)
    sar[:4, :, 0] = np.nan
    tifffile.imwrite(tmp_path / "s1" / "ROIs1970_fall_139_p1.tif", sar)
    opened = open_at(tmp_path, fill=fill)
    assert any("1 of 1 SAR patches have NaN" in notice for notice in opened.notices)
    guide = opened.split("reduced")[0].guide
    expected = float(np.nanmean(sar[..., 0])) if fill == "mean" else 0.0
    assert guide[0, 0, :4].flatten().tolist() == pytest.approx([expected] * 4 * SIDE)
    assert torch.equal(guide[0, 1], torch.from_numpy(sar[..., 1]))


def test_reflectance_beyond_one_is_limited_as_published(tmp_path):
    write_flat(tmp_path, ["ROIs1970_fall_139_p1"])
    bright = image(13, 1)
    bright[0, 0] = 20000
    tifffile.imwrite(tmp_path / "s2_cloudy" / "ROIs1970_fall_139_p1.tif", bright)
    assert float(open_at(tmp_path).split("reduced")[0].ms.max()) == 10000


def test_bands_first_are_read_alike(tmp_path):
    write_flat(tmp_path, ["ROIs1970_fall_139_p1"])
    before = open_at(tmp_path).split("reduced")[0]
    path = tmp_path / "s2_cloudFree" / "ROIs1970_fall_139_p1.tif"
    tifffile.imwrite(path, np.moveaxis(tifffile.imread(path), -1, 0))
    assert torch.equal(open_at(tmp_path).split("reduced")[0].gt, before.gt)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>not found</html>", "cannot be read"),
        (image(4, 0), r"expected 13 bands, found shape \(32, 32, 4\)"),
        (image(13, 0)[:16], r"\(16, 32\) pixels beside \(32, 32\)"),
        ((image(13, 0) / 10000).astype(np.float32), "expected reflectance times 10000"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, message):
    write_flat(tmp_path, ["ROIs1970_fall_139_p1"])
    path = tmp_path / "s2_cloudy" / "ROIs1970_fall_139_p1.tif"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        tifffile.imwrite(path, content)
    with pytest.raises(DatasetError, match=message) as caught:
        open_at(tmp_path)
    assert path.name in str(caught.value)


def test_the_fingerprint_follows_the_content_not_the_folder(tmp_path):
    for place in ("a", "b"):
        write_flat(tmp_path / place, ["ROIs1970_fall_139_p1"])
    first = open_at(tmp_path / "a").fingerprint
    assert open_at(tmp_path / "b").fingerprint == first
    tifffile.imwrite(tmp_path / "b" / "s1" / "ROIs1970_fall_139_p1.tif", image(2, 99))
    assert open_at(tmp_path / "b").fingerprint != first
    assert open_at(tmp_path / "a", fill="zero").fingerprint != first


def test_scalings_are_those_of_the_published_loaders(tmp_path):
    write_flat(tmp_path, ["ROIs1970_fall_139_p1"])
    assert open_at(tmp_path).sensor.guide_range == ((-25.0, 0.0), (-32.5, 0.0))
    assert open_at(tmp_path, scaling="uncrtaints").sensor.guide_range == ((-25.0, 0.0), (-25.0, 0.0))


@pytest.mark.parametrize(("option", "value"), [("track", "sar"), ("scaling", "none"), ("fill", "median")])
def test_unknown_options_are_refused(tmp_path, option, value):
    write_flat(tmp_path, ["ROIs1970_fall_139_p1"])
    with pytest.raises(DatasetError, match=f"'{value}'"):
        open_at(tmp_path, **{option: value})


def test_nothing_there_says_what_was_expected(tmp_path):
    with pytest.raises(DatasetError, match="expected ROIs1158_spring_s1/s1_1"):
        open_at(tmp_path)
    (tmp_path / "s1").mkdir()
    assert datasets.open("sen12mscr", root=tmp_path).source == "simulated"


def test_the_official_list_has_ten_regions_each():
    splits = list(official_splits().values())
    assert (splits.count("reduced"), splits.count("valid")) == (10, 10)
    assert len(splits) == 20


def test_a_pipe_in_place_of_a_patch_is_not_opened(tmp_path):
    write_flat(tmp_path, ["ROIs1158_spring_1_p30", "ROIs1158_spring_31_p30"])
    path = tmp_path / "s2_cloudy" / "ROIs1158_spring_31_p30.tif"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DatasetError, match="expected a GeoTIFF, found a pipe"):
        open_at(tmp_path)


def test_a_header_that_declares_terabytes_is_refused(tmp_path):
    write_flat(tmp_path, ["ROIs1158_spring_1_p30"])
    path = tmp_path / "s1" / "ROIs1158_spring_1_p30.tif"
    with tifffile.TiffFile(path) as file:
        places = [file.pages[0].tags[name].valueoffset for name in ("ImageWidth", "ImageLength")]
        kinds = [file.pages[0].tags[name].dtype for name in ("ImageWidth", "ImageLength")]
    content = bytearray(path.read_bytes())
    for place, kind in zip(places, kinds, strict=True):
        content[place : place + 2] = b"\xff\xff"
        assert kind in {3, 4}
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"declares shape|cannot be read|download it again") as caught:
        open_at(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image: np.full(image.shape, np.nan, np.float32), "values reach -inf only"),
        (lambda image: image.astype(np.complex64), "holds complex64"),
        (lambda image: image > 0, "holds bool"),
        (lambda image: np.where(np.arange(13) == 4, np.nan, image).astype(np.float32), "band 5 has no finite value"),
    ],
)
def test_patches_without_real_numbers_are_refused(tmp_path, change, message):
    write_flat(tmp_path, ["ROIs1158_spring_1_p30"])
    path = tmp_path / "s2_cloudFree" / "ROIs1158_spring_1_p30.tif"
    tifffile.imwrite(path, change(tifffile.imread(path)), photometric="minisblack")
    with pytest.raises(DatasetError, match=message):
        open_at(tmp_path)


@pytest.mark.parametrize("line", [b"\xff\xfe\n", b"1," * 70000, b'"' * 200_000, b"9,a,b,c,d\n", b"1,a\n"])
def test_a_damaged_table_of_splits_is_one_line(tmp_path, line):
    write_flat(tmp_path, ["ROIs1158_spring_1_p30"])
    (tmp_path / "splits.csv").write_bytes(b"1,s1,s2_cloudfree,s2_cloudy,ROIs1158_spring_1_p30.tif\n" + line)
    with pytest.raises(DatasetError, match=r"splits\.csv") as caught:
        open_at(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 600
