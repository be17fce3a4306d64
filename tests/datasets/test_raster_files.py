"""Rasters as files store them, scenes of several files, bad files named for what they are; written by GDAL and tifffile."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio
import rasterio.shutil
import scipy.io
import tifffile
from rasterio import Affine

from tests.datasets.test_cubes import write_envi
from tests.datasets.test_scene import pair
from waldbench import datasets
from waldbench.datasets import formats, tiff_pages
from waldbench.datasets.base import DatasetError
from waldbench.datasets.grid import Axis, Grid, relation
from waldbench.datasets.memory_mapped import open_mapped
from waldbench.datasets.raster import Raster
from waldbench.datasets.scene_files import Asked, files_of
from waldbench.datasets.user_files import read_user_images

FORMS: list[dict[str, Any]] = [
    {"compress": "lzw"},
    {"compress": "deflate", "predictor": 2},
    {"compress": "zstd"},
    {"BIGTIFF": "YES"},
    {"tiled": True, "blockxsize": 16, "blockysize": 16},
]
TRANSFORM = (2.0, 0.0, 500000.0, 0.0, -2.0, 5000000.0)


def image(bands: int = 3, side: int = 64) -> np.ndarray:
    return np.random.default_rng(bands).integers(1, 2000, (bands, side, side)).astype(np.uint16)


def write(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    count, height, width = pixels.shape
    said = {
        "driver": "GTiff",
        "count": count,
        "height": height,
        "width": width,
        "dtype": pixels.dtype,
        "photometric": "minisblack",
    }
    georeference = {"crs": "EPSG:32633", "transform": Affine(*TRANSFORM)}
    with rasterio.open(path, "w", **(said | georeference | options)) as file:
        file.write(pixels)
    return path


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("interleave", ["band", "pixel"])
@pytest.mark.parametrize("options", FORMS)
def test_tiff_in_every_form(tmp_path: Path, options: dict[str, Any], interleave: str, mapped: bool) -> None:
    pixels = image()
    raster = formats.read_image(write(tmp_path / "a.tif", pixels, interleave=interleave, **options), mapped)
    np.testing.assert_array_equal(np.asarray(raster.image), pixels)
    assert raster.grid == Grid(TRANSFORM, "EPSG:32633")
    window = raster.window(slice(3, 9), slice(60, 64))
    np.testing.assert_array_equal(window[0], pixels[:, 3:9, 60:64])
    assert window[1] is None
    np.testing.assert_array_equal(np.asarray(pickle.loads(pickle.dumps(raster)).image), pixels)


@pytest.mark.parametrize("mapped", [False, True])
def test_jpeg2000_and_virtual_rasters(tmp_path: Path, mapped: bool) -> None:
    pixels = image()
    said = {"width": pixels.shape[2], "height": pixels.shape[1], "count": len(pixels), "dtype": "uint16"}
    said |= {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES", "transform": Affine(*TRANSFORM), "crs": "EPSG:32633"}
    with rasterio.open(tmp_path / "a.jp2", "w", **said) as file:
        file.write(pixels)
    write(tmp_path / "b.tif", pixels)
    rasterio.shutil.copy(tmp_path / "b.tif", tmp_path / "b.vrt", driver="VRT")
    for name in ("a.jp2", "b.vrt"):
        raster = formats.read_image(tmp_path / name, mapped)
        np.testing.assert_array_equal(np.asarray(raster.image), pixels)
        assert raster.grid == Grid(TRANSFORM, "EPSG:32633")


def test_a_pixel_that_is_a_point_lies_half_a_pixel_off(tmp_path: Path) -> None:
    keys = (1, 1, 0, 2, 1024, 0, 1, 1, 1025, 0, 1, 2)
    tags = [
        (33550, "d", 3, (2.0, 2.0, 0.0), True),
        (33922, "d", 6, (0, 0, 0, 500001.0, 4999999.0, 0), True),
        (34735, "H", 12, keys, True),
    ]
    tifffile.imwrite(tmp_path / "a.tif", image(1)[0], extratags=tags)
    for raster in (formats.read_image(tmp_path / "a.tif"), tiff_pages.read(tmp_path / "a.tif", False)):
        assert raster.grid is not None
        assert raster.grid.transform == TRANSFORM


def test_without_rasterio_tifffile_says_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", image(), nodata=7, interleave="pixel")
    one, other = formats.read_image(path), tiff_pages.read(path, False)
    assert (one.grid, one.nodata) == (other.grid, other.nodata)
    np.testing.assert_array_equal(one.image, other.stacked(other.band_axis or 0).image)
    rgba = np.concatenate([image(), np.full((1, 64, 64), 65535, np.uint16)])
    tifffile.imwrite(path, rgba, photometric="rgb", planarconfig="separate", extrasamples=["unassalpha"])
    one, other = formats.read_image(path), tiff_pages.read(path, False)
    assert one.notices == other.notices
    assert one.image.shape == other.image.shape == (3, 64, 64)


def test_what_a_file_says_of_its_bands_is_carried(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", image(), nodata=5)
    with rasterio.open(path, "r+") as file:
        file.descriptions = ["blue", "green", "red"]
        file.scales, file.offsets = (0.1, 0.1, 0.2), (0, 0, 1)
    raster = formats.read_image(path, mapped=True).choose((2, 0))
    assert (raster.names, raster.nodata, raster.scaling) == (("red", "blue"), (5, 5), ((0.2, 1.0), (0.1, 0.0)))
    np.testing.assert_array_equal(np.asarray(raster.image), image()[[2, 0]])


def test_envi_stays_on_disk_and_marks_ignored_values(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(1, 999, (20, 40, 36)).astype(np.uint16)
    pixels[3, 5, 6] = 500
    where = "map info = {UTM, 1.0, 1.0, 500000.0, 5000000.0, 2.0, 2.0, 33, North, WGS-84}\ndata ignore value = 500"
    pixels[:, 5, 6] = 500
    raster = formats.read_image(write_envi(tmp_path, pixels, extra=where), mapped=True)
    assert isinstance(raster.image, np.memmap)
    assert raster.grid == Grid(TRANSFORM, "EPSG:32633")
    valid = raster.window(slice(0, 10), slice(0, 10))[1]
    assert valid is not None
    assert not valid[5, 6]


BAD = {
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
    "a saved web page": b"<!DOCTYPE html><title>Sign in</title>",
    "0 bytes .an empty file": b"",
    "a zip archive": b"PK\x03\x04" + bytes(40),
    "a gzip archive": gzip.compress(b"x" * 99),
    "text: 'no image here'": b"no image here\n",
}


@pytest.mark.parametrize("suffix", [".tif", ".jp2", ".vrt", ".npy", ".mat", ".h5"])
@pytest.mark.parametrize("said", BAD)
def test_a_bad_file_is_named_for_what_it_is(tmp_path: Path, suffix: str, said: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(BAD[said])
    with pytest.raises(DatasetError, match=f"{path.name}: .*expected .*found .*{said}") as caught:
        (formats.read_scene if suffix in {".mat", ".h5"} else formats.read_image)(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mapped", [False, True])
def test_a_truncated_file_is_refused_by_both_ways_of_reading(tmp_path: Path, mapped: bool) -> None:
    ms, pan = pair(4)
    for name, pixels, pixel in (("ms", np.moveaxis(ms, -1, 0), 2.0), ("pan", pan[None], 0.5)):
        write(tmp_path / f"{name}.tif", pixels, compress="lzw", transform=Affine(pixel, 0, 0, 0, -pixel, 0))
    (tmp_path / "pan.tif").write_bytes((tmp_path / "pan.tif").read_bytes()[:30000])
    with pytest.raises(DatasetError, match=r"pan\.tif: the file is truncated at 30000 bytes"):
        open_mapped(str(tmp_path)) if mapped else read_user_images(str(tmp_path))


def test_whole_and_mapped_reading_refuse_alike(tmp_path: Path) -> None:
    ms, pan = pair(4)
    cases = {
        "expected digital numbers": (ms / 2047.0, pan / 2047.0),
        "expected real numbers": (ms.astype(np.complex64), pan),
        "infinite": (np.where(ms == ms.max(), np.inf, ms), pan),
        "expected PAN sides at least twice": (ms[:, :, :2].repeat(4, 0).repeat(4, 1), pan),
        "no pixel has data": (np.full_like(ms, np.nan, dtype=float), pan),
    }
    for message, (low, high) in cases.items():
        np.save(tmp_path / "ms.npy", low.astype(np.complex64 if low.dtype.kind == "c" else np.float32))
        np.save(tmp_path / "pan.npy", high.astype(np.float32))
        for read in (lambda: datasets.open(f"scene:{tmp_path}"), lambda: open_mapped(str(tmp_path))):
            with pytest.raises(DatasetError, match=message):
                read()


def test_run_and_sharpen_read_any_pair_of_formats(tmp_path: Path) -> None:
    ms, pan = pair(4)
    low, data = np.moveaxis(ms, -1, 0), write_envi(tmp_path, np.moveaxis(ms, -1, 0).copy())
    write(tmp_path / "pan.tif", pan[None].astype(np.float32), compress="lzw")
    path = f"{data},{tmp_path / 'pan.tif'}"
    np.testing.assert_array_equal(datasets.open(f"scene:{path}").split("full")[0].ms[0].numpy(), low)
    np.testing.assert_array_equal(np.asarray(open_mapped(path).ms.image), low)


def test_run_cuts_both_images_to_what_their_geotransforms_share(tmp_path: Path) -> None:
    ms, pan = pair(4, 96)
    write(tmp_path / "ms.tif", np.moveaxis(ms, -1, 0), transform=Affine(2, 0, 500000, 0, -2, 5000000))
    # PAN begins 10 MS pixels and 2 PAN pixels further down and right, and ends earlier.
    write(tmp_path / "pan.tif", pan[None, 42:342, 42:342], transform=Affine(0.5, 0, 500021, 0, -0.5, 4999979))
    scene = datasets.open(f"scene:{tmp_path}")
    full = scene.split("full")[0]
    np.testing.assert_array_equal(full.ms[0].numpy(), np.moveaxis(ms, -1, 0)[:, 11:85, 11:85])
    np.testing.assert_array_equal(full.guide[0, 0].numpy(), pan[44:340, 44:340])
    assert any("by the geotransforms" in notice for notice in scene.notices)


def test_variables_that_are_left_are_named_and_key_chooses(tmp_path: Path) -> None:
    ms, pan = pair(4)
    scipy.io.savemat(tmp_path / "a.mat", {"I_MS": ms, "I_PAN": pan, "other": ms + 1, "scene": {"inner": pan + 1}})
    assert any("left inner, other, scene.inner" in notice for notice in datasets.open(f"scene:{tmp_path / 'a.mat'}").notices)
    asked = Asked(keys={"ms": "other", "pan": "inner"})
    chosen = datasets.open(f"scene:{tmp_path / 'a.mat'}", asked=asked).split("full")[0]
    np.testing.assert_array_equal(chosen.ms[0].permute(1, 2, 0).numpy(), ms + 1)
    np.testing.assert_array_equal(chosen.guide[0, 0].numpy(), pan + 1)
    with pytest.raises(DatasetError, match=r"no variable 'none'; --key takes ROLE=NAME of .*other"):
        datasets.open(f"scene:{tmp_path / 'a.mat'}", asked=Asked(keys={"ms": "none"}))


def test_hdf5_is_known_by_its_signature_and_its_groups_are_read(tmp_path: Path) -> None:
    ms, pan = pair(4)
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["I_MS"], file["deep/I_PAN"] = ms.T, pan.T
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["ms"], file["pan"] = np.moveaxis(ms, -1, 0), pan
    asked = Asked(keys={"ms": "I_MS", "pan": "deep.I_PAN"})
    for path, how in (("a.mat", asked), ("b.h5", None)):
        full = datasets.open(f"scene:{tmp_path / path}", asked=how).split("full")[0]
        np.testing.assert_array_equal(full.ms[0].permute(1, 2, 0).numpy(), ms)
        np.testing.assert_array_equal(full.guide[0, 0].numpy(), pan)


def test_columns_first_are_turned(tmp_path: Path) -> None:
    ms, pan = pair(4)
    scipy.io.savemat(tmp_path / "a.mat", {"I_MS": ms[:40].transpose(1, 0, 2), "I_PAN": pan[:160]})
    full = datasets.open(f"scene:{tmp_path / 'a.mat'}").split("full")[0]
    np.testing.assert_array_equal(full.ms[0].permute(1, 2, 0).numpy(), ms[:40])


def test_paths_with_commas_and_products(tmp_path: Path) -> None:
    ms, pan = pair(3)
    folder = tmp_path / "a, b"
    folder.mkdir()
    write(folder / "m,s.tif", np.moveaxis(ms, -1, 0))
    write(folder / "p,an.tif", pan[None], transform=Affine(0.5, 0, 500000, 0, -0.5, 5000000))
    full = datasets.open(f"scene:{folder / 'm,s.tif'},{folder / 'p,an.tif'}").split("full")[0]
    np.testing.assert_array_equal(full.ms[0].permute(1, 2, 0).numpy(), ms)
    product = tmp_path / "LC08"
    product.mkdir()
    for number in (2, 3, 4, 5, 8):
        pixels, pixel = (pan, 0.5) if number == 8 else (ms[..., number % 3], 2)
        write(product / f"LC08_L1TP_190022_B{number}.TIF", pixels[None], transform=Affine(pixel, 0, 500000, 0, -pixel, 5000000))
    files, lines = files_of(str(product), Asked())
    assert [path.stem[-2:] for path in (*files["ms"], *files["pan"])] == ["B2", "B3", "B4", "B5", "B8"]
    assert "Landsat 8 or 9" in lines[0]
    np.testing.assert_array_equal(datasets.open(f"scene:{product}").split("full")[0].ms[0, 0].numpy(), ms[..., 2])
    write(product / "LC08_L1TP_190022_B3.TIF", ms[:32, :, :1].transpose(2, 0, 1))
    with pytest.raises(DatasetError, match="do not lie on one grid as bands of one image"):
        datasets.open(f"scene:{product}")


@pytest.mark.parametrize("shift", [0.0, 0.3, -7.25])
def test_relation_of_grids(shift: float) -> None:
    pan = Grid((0.5, 0.0, 100.0, 0.0, -0.5, 900.0), "EPSG:32633")
    ms = pan.shifted(shift, 2 * shift).scaled(4)
    rows, columns = relation(ms, pan, (50, 60))
    assert rows == Axis(4.0, pytest.approx(shift + 1.5))
    assert columns == Axis(4.0, pytest.approx(2 * shift + 1.5))
    assert rows.covered(50, 10_000) == {0.0: (0, 200), 0.3: (0, 200), -7.25: (0, 193)}[shift]


def test_no_data_value_that_the_type_cannot_hold_marks_nothing(tmp_path: Path) -> None:
    raster = Raster(image(), (), 0, nodata=(-9999.0,) * 3)
    assert raster.window(slice(0, 9), slice(0, 9))[1] is None
