"""Products of georeferenced files: place, masks, labels, compression; GDAL judges where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
import rasterio
import tifffile
from rasterio import Affine
from rasterio.enums import ColorInterp, MaskFlags
from scipy import ndimage

from tests.datasets.published import smooth_noise
from waldbench.bench.cli import main
from waldbench.imaging.resampling import imresize

EAST, NORTH = 500000.0, 5000000.0
CRS = "EPSG:32633"


def write(path, image, pixel, corner=(EAST, NORTH), crs=CRS, names=(), colours=(), mask=None, **options):
    image = image if image.ndim == 3 else image[None]
    count, height, width = image.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": image.dtype, "crs": crs}
    transform = Affine(pixel, 0, corner[0], 0, -pixel, corner[1])
    with rasterio.open(path, "w", **(profile | {"transform": transform, "photometric": "minisblack"} | options)) as file:
        file.write(image)
        for band, name in enumerate(names, 1):
            file.set_band_description(band, name)
        if colours:
            file.colorinterp = [ColorInterp[word] for word in colours]
        if mask is not None:
            file.write_mask(mask)
    return path


def ground(bands=4, side=256, seed=3):
    """An image of the fine grid (C, H, W), 400 to 1600 counts, with detail that MS pixels of 4 hardly hold."""
    fine = ndimage.gaussian_filter(smooth_noise(1, bands, side, seed)[0].numpy(), (0, 2, 2), mode="mirror")
    return 400 + 1200 * (fine - fine.min()) / (fine.max() - fine.min())


def means(fine, ratio):
    """What a sensor whose pixels are blocks of the fine ones sees."""
    count, height, width = fine.shape
    return fine.reshape(count, height // ratio, ratio, width // ratio, ratio).mean((2, 4))


def write_pair(folder, bands=4, side=256, ratio=4, dtype=np.uint16, **options):
    fine = ground(bands, side)
    ms, pan = means(fine, ratio).round().astype(dtype), fine.mean(0).round().astype(dtype)
    write(folder / "ms.tif", ms, 0.5 * ratio, **options)
    write(folder / "pan.tif", pan, 0.5)
    return ms, pan


def sharpen(folder, *words, key="brovey", output="fused.tif", scene=None):
    files = scene or ["--dataset", f"scene:{folder / 'ms.tif'},{folder / 'pan.tif'}"]
    return main(["sharpen", "--methods", key, *files, "--output", str(folder / output), "--threads", "1", *words])


def read(folder, name="fused.tif"):
    with rasterio.open(folder / name) as file:
        return file.read().astype(float)


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 8, 200])
def test_any_number_of_bands_keeps_its_labels(tmp_path, bands):
    names = [f"band {number}" for number in range(bands)]
    colours = ["red", "green", "blue", "undefined"][:bands] if bands in {3, 4} else ()
    ms, _ = write_pair(tmp_path, bands, 64, names=names, colours=colours, nodata=0)
    assert sharpen(tmp_path) == 0
    with rasterio.open(tmp_path / "fused.tif") as file:
        assert (file.count, file.shape, file.dtypes[0]) == (bands, (64, 64), "uint16")
        assert file.transform == Affine(0.5, 0, EAST, 0, -0.5, NORTH)
        assert file.crs == rasterio.CRS.from_string(CRS)
        assert (file.nodata, list(file.descriptions)) == (0, names)
        assert file.profile["tiled"]
        assert file.profile["compress"] == "deflate"
        assert [one.name for one in file.colorinterp][: len(colours)] == list(colours)
        tags = file.tags()
        assert (tags["FUSION_METHOD"], tags["FUSION_PHASE"]) == ("brovey", "centre")
        assert tags["TIFFTAG_SOFTWARE"].startswith("waldbench")
        assert np.abs(file.read().astype(float).mean((1, 2)) - ms.mean((1, 2))).max() < 30


def test_content_does_not_move(tmp_path):
    """The centre of every MS pixel is where its geotransform says; the benchmark's phase moves it by half a PAN pixel."""
    write_pair(tmp_path, 4, 256)
    assert sharpen(tmp_path, key="exp") == 0
    assert sharpen(tmp_path, "--phase", "wald", key="exp", output="wald.tif") == 0
    fine = ground(4, 256)
    errors = {}
    for name in ("fused.tif", "wald.tif"):
        image = read(tmp_path, name)[..., 16:-16, 16:-16]
        moved = {shift: np.roll(fine, shift, (1, 2))[..., 16:-16, 16:-16] for shift in ((0, 0), (1, 1))}
        errors[name] = [float(np.square(image - still).mean()) for still in moved.values()]
    assert errors["fused.tif"][0] < errors["fused.tif"][1]
    # Half a pixel down and right: as far from the ground as from the ground moved by one pixel.
    assert errors["wald.tif"][0] == pytest.approx(errors["wald.tif"][1], rel=0.2)
    assert errors["fused.tif"][0] < 0.9 * errors["wald.tif"][0]


@pytest.mark.parametrize("offset", [0, 1, 2.5, -3])
def test_images_of_different_extents_meet_where_their_geotransforms_say(tmp_path, offset):
    """PAN begins `offset` PAN pixels further down and right, and ends elsewhere: the product is that part of the whole's."""
    fine = ground(4, 256)
    write(tmp_path / "ms.tif", means(fine, 4).astype(np.float32), 2.0)
    whole = fine.mean(0).astype(np.float32)
    start = max(0, int(np.ceil(offset)))
    corner = (EAST + 0.5 * start, NORTH - 0.5 * start)
    if offset == 2.5:
        # MS lies half a PAN pixel off PAN's grid.
        write(tmp_path / "ms.tif", means(fine, 4).astype(np.float32), 2.0, (EAST - 0.25, NORTH + 0.25))
    if offset < 0:
        # PAN is larger than MS.
        whole = np.pad(whole, 5, mode="edge")
        corner = (EAST - 2.5, NORTH + 2.5)
    write(tmp_path / "pan.tif", whole[start : start + 200, start:], 0.5, corner)
    assert sharpen(tmp_path, key="exp") == 0
    with rasterio.open(tmp_path / "fused.tif") as file:
        image, transform = file.read(), file.transform
    column, row = ((transform.c - EAST) / 0.5, (NORTH - transform.f) / 0.5)
    assert (row, column) == (start, start)
    truth = fine[:, int(row) : int(row) + image.shape[1], int(column) : int(column) + image.shape[2]]
    inside = (slice(None), slice(16, -16), slice(16, -16))
    same = np.square(image[inside] - truth[inside]).mean()
    moved = np.square(np.roll(image, 1, (1, 2))[inside] - truth[inside]).mean()
    assert same < moved


def test_a_ratio_that_is_no_integer_follows_from_the_pixel_sizes(tmp_path):
    fine = ground(3, 240)
    write(tmp_path / "ms.tif", imresize_mean(fine, 100), 1.2)
    write(tmp_path / "pan.tif", fine.mean(0).astype(np.float32), 0.5)
    assert sharpen(tmp_path, key="exp") == 0
    image = read(tmp_path)
    assert image.shape == (3, 240, 240)
    inside = (slice(None), slice(16, -16), slice(16, -16))
    assert np.corrcoef(image[inside].ravel(), fine[inside].ravel())[0, 1] > 0.98


def imresize_mean(fine, side):
    import torch

    return imresize(torch.from_numpy(fine)[None], side / fine.shape[-1])[0].numpy().astype(np.float32)


@pytest.mark.parametrize("key", ["brovey", "gsa", "mtf-glp-hpm"])
@pytest.mark.parametrize("how", ["nodata", "mask", "nan"])
def test_a_collar_without_data_changes_nothing_inside_and_stays_outside(tmp_path, key, how):
    """A collar of -9999 had moved GSA's valid pixels by 32 counts (RMSE)."""
    fine = ground(4, 256)
    ms, pan = means(fine, 4).astype(np.float32), fine.mean(0).astype(np.float32)
    write(tmp_path / "ms.tif", ms[:, 16:-16, 16:-16], 2.0, (EAST + 32, NORTH - 32))
    write(tmp_path / "pan.tif", pan[64:-64, 64:-64], 0.5, (EAST + 32, NORTH - 32))
    assert sharpen(tmp_path, key=key, output="inner.tif") == 0
    collar = {"nodata": -9999.0, "mask": 77.0, "nan": np.nan}[how]
    for image, edge in ((ms, 16), (pan[None], 64)):
        keep = np.zeros(image.shape[1:], bool)
        keep[edge:-edge, edge:-edge] = True
        image[:, ~keep] = collar
        name, pixel = ("ms.tif", 2.0) if edge == 16 else ("pan.tif", 0.5)
        options = {"nodata": collar} if how == "nodata" else {"mask": keep} if how == "mask" else {}
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            write(tmp_path / name, image, pixel, **options)
    assert sharpen(tmp_path, key=key) == 0
    with rasterio.open(tmp_path / "fused.tif") as file:
        fused, valid = file.read(), file.dataset_mask() > 0
        assert file.nodata == -9999.0 if how == "nodata" else np.isnan(file.nodata)
    assert valid.sum() == 128 * 128
    assert valid[64:-64, 64:-64].all()
    difference = fused[:, 64:-64, 64:-64] - read(tmp_path, "inner.tif")
    # What is left comes from filters at the edge, which see the nearest pixel there instead of the mirrored image.
    assert np.sqrt(np.square(difference).mean()) < 4.0


def test_integers_masked_without_a_nodata_value_keep_a_mask(tmp_path):
    ms, _ = write_pair(tmp_path, 4, 64)
    keep = np.ones((16, 16), bool)
    keep[:4] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write(tmp_path / "ms.tif", ms, 2.0, mask=keep)
    assert sharpen(tmp_path) == 0
    with rasterio.open(tmp_path / "fused.tif") as file:
        assert MaskFlags.per_dataset in file.mask_flag_enums[0]
        assert file.nodata is None
        assert np.array_equal(file.dataset_mask() > 0, np.repeat(np.repeat(keep, 4, 0), 4, 1))


def test_a_valid_pixel_never_takes_the_value_of_nodata(tmp_path):
    _, pan = write_pair(tmp_path, 4, 64, nodata=0)
    pan[8:16, 8:16] = 0
    write(tmp_path / "pan.tif", pan, 0.5)
    assert sharpen(tmp_path) == 0
    image = read(tmp_path)
    assert image.min() == 1.0


def test_alpha_is_no_band_and_a_near_infrared_band_marked_alpha_is(tmp_path, capsys):
    ms, _ = write_pair(tmp_path, 4, 64)
    said = {"photometric": "rgb", "planarconfig": "separate", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "ms.tif", np.concatenate([ms[:3], np.full_like(ms[:1], 65535)]), **said)
    assert sharpen(tmp_path) == 0
    assert "is alpha: taken as the mask" in capsys.readouterr().out
    assert len(read(tmp_path)) == 3
    tifffile.imwrite(tmp_path / "ms.tif", ms, **said)
    assert sharpen(tmp_path, "--force") == 0
    assert "read as a band (--bands 1-4 says so" in capsys.readouterr().out
    assert len(read(tmp_path)) == 4
    assert sharpen(tmp_path, "--force", "--bands", "3", "1-2") == 0
    assert len(read(tmp_path)) == 3


def test_a_palette_is_refused(tmp_path, capsys):
    write_pair(tmp_path, 1, 64)
    write(tmp_path / "ms.tif", np.ones((1, 16, 16), np.uint8), 2.0, photometric="palette")
    with rasterio.open(tmp_path / "ms.tif", "r+") as file:
        file.write_colormap(1, {0: (0, 0, 0), 1: (255, 0, 0)})
    assert sharpen(tmp_path) == 2
    assert "gdal_translate -expand rgb" in capsys.readouterr().err


def test_other_reference_systems_are_refused_or_warped(tmp_path, capsys):
    write_pair(tmp_path, 3, 256)
    with rasterio.open(tmp_path / "ms.tif") as file:
        from rasterio.warp import calculate_default_transform, reproject

        transform, width, height = calculate_default_transform(file.crs, "EPSG:32634", file.width, file.height, *file.bounds)
        turned = np.zeros((3, height, width), np.uint16)
        reproject(
            file.read(), turned, src_transform=file.transform, src_crs=file.crs, dst_transform=transform, dst_crs="EPSG:32634"
        )
    options = {"transform": transform, "crs": "EPSG:32634", "nodata": 0}
    write(tmp_path / "other.tif", turned, 2.0, **options)
    scene = ["--ms", str(tmp_path / "other.tif"), "--pan", str(tmp_path / "pan.tif")]
    assert sharpen(tmp_path, scene=scene) == 2
    assert "MS lies in EPSG:32634, PAN in EPSG:32633; give --align" in capsys.readouterr().err
    assert sharpen(tmp_path, "--align", scene=scene, key="exp") == 0
    assert "MS warped onto the grid of PAN" in capsys.readouterr().out
    with rasterio.open(tmp_path / "fused.tif") as file:
        fused, valid = file.read().astype(float), file.dataset_mask() > 0
    fine = ground(3, 256)[:, 32:-32, 32:-32]
    assert valid[32:-32, 32:-32].all()
    assert np.corrcoef(fused[:, 32:-32, 32:-32].ravel(), fine.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    ("case", "message"),
    [("far", "no common area"), ("upside down", "upside down"), ("turned", "turned against each other")],
)
def test_grids_that_do_not_meet_are_one_line(tmp_path, capsys, case, message):
    ms, _ = write_pair(tmp_path, 3, 64)
    transforms = {
        "far": Affine(2, 0, EAST + 9999, 0, -2, NORTH),
        "upside down": Affine(2, 0, EAST, 0, 2, NORTH - 32),
        "turned": Affine(1.99, 0.1, EAST, 0.1, -1.99, NORTH),
    }
    write(tmp_path / "ms.tif", ms, 2.0, transform=transforms[case])
    assert sharpen(tmp_path) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1


def test_images_turned_alike_are_fused(tmp_path):
    ms, pan = write_pair(tmp_path, 3, 64)
    turned = Affine(0.4, 0.3, EAST, 0.3, -0.4, NORTH)
    write(tmp_path / "straight_ms.tif", ms, 2.0)
    assert sharpen(tmp_path, output="straight.tif") == 0
    write(tmp_path / "ms.tif", ms, 2.0, transform=Affine(1.6, 1.2, EAST, 1.2, -1.6, NORTH))
    write(tmp_path / "pan.tif", pan, 0.5, transform=turned)
    assert sharpen(tmp_path) == 0
    np.testing.assert_array_equal(read(tmp_path), read(tmp_path, "straight.tif"))
    with rasterio.open(tmp_path / "fused.tif") as file:
        assert file.transform == turned


def test_bands_in_files_of_their_own_several_methods_and_a_window(tmp_path):
    ms, _ = write_pair(tmp_path, 3, 256)
    files = [write(tmp_path / f"a, b B{band + 2}.tif", image, 2.0) for band, image in enumerate(ms)]
    scene = ["--ms", *map(str, files), "--pan", str(tmp_path / "pan.tif")]
    assert main(["sharpen", "--methods", "brovey", "exp", *scene, "--output", str(tmp_path / "x.tif")]) == 0
    assert sharpen(tmp_path) == 0
    np.testing.assert_array_equal(read(tmp_path, "x-brovey.tif"), read(tmp_path))
    with rasterio.open(tmp_path / "x-exp.tif") as file:
        assert file.descriptions == tuple(path.stem for path in files)
    assert sharpen(tmp_path, "--window", "40", "24", "100", "120", output="window.tif") == 0
    # Brovey knows no statistics: a window is a part of the whole, the edges included.
    np.testing.assert_array_equal(read(tmp_path, "window.tif"), read(tmp_path)[:, 40:140, 24:144])
    with rasterio.open(tmp_path / "window.tif") as file:
        assert (file.transform.c, file.transform.f) == (EAST + 12, NORTH - 20)
    assert sharpen(tmp_path, "--window", "40", "24", "300", "120", output="window2.tif") == 2


@pytest.mark.parametrize("compress", ["deflate", "zstd", "lzw", "none"])
@pytest.mark.parametrize("form", ["GTiff", "COG"])
def test_forms(tmp_path, form, compress):
    write_pair(tmp_path, 3, 1024)
    done = sharpen(tmp_path, "--compress", compress, "--format", form, "--overviews", "--dtype", "float32")
    if (form, compress) == ("COG", "none"):
        assert done == 2
        return
    assert done == 0
    with rasterio.open(tmp_path / "fused.tif") as file:
        assert file.dtypes[0] == "float32"
        assert (file.profile.get("compress") or "none") == compress
        assert file.overviews(1)
        assert ("COG" in file.tags(ns="IMAGE_STRUCTURE").get("LAYOUT", "")) == (form == "COG")
    assert sharpen(tmp_path, "--dtype", "float32", output="plain.tif") == 0
    np.testing.assert_array_equal(read(tmp_path), read(tmp_path, "plain.tif"))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_rational_polynomials_follow_the_window(tmp_path):
    write_pair(tmp_path, 3, 64)
    coefficients = {
        name: " ".join(["1"] + ["0"] * 19) for name in ("LINE_NUM_COEFF", "LINE_DEN_COEFF", "SAMP_NUM_COEFF", "SAMP_DEN_COEFF")
    }
    numbers = ("LAT_OFF", "LONG_OFF", "HEIGHT_OFF", "LINE_SCALE", "SAMP_SCALE", "LAT_SCALE", "LONG_SCALE", "HEIGHT_SCALE")
    with rasterio.open(tmp_path / "pan.tif", "r+") as file:
        file.update_tags(ns="RPC", LINE_OFF="100", SAMP_OFF="200", **dict.fromkeys(numbers, "1"), **coefficients)
    assert sharpen(tmp_path, "--window", "8", "16", "40", "40") == 0
    with rasterio.open(tmp_path / "fused.tif") as file:
        assert (file.rpcs.line_off, file.rpcs.samp_off) == (92.0, 184.0)


@pytest.mark.skipif(shutil.which("gdal_pansharpen.py") is None, reason="GDAL's gdal_pansharpen.py is not installed (gdal-bin)")
def test_brovey_agrees_with_gdal_to_one_count(tmp_path):
    write_pair(tmp_path, 4, 256)
    files = [str(tmp_path / name) for name in ("pan.tif", "ms.tif", "gdal.tif")]
    done = subprocess.run(["gdal_pansharpen.py", "-r", "cubic", *files], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"gdal_pansharpen.py does not run here: {done.stderr.strip()[-200:]}")
    assert sharpen(tmp_path) == 0
    difference = np.abs(read(tmp_path) - read(tmp_path, "gdal.tif"))
    assert difference[..., 8:-8, 8:-8].max() <= 1


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="gdalinfo is not installed (gdal-bin)")
def test_gdal_reads_what_is_written(tmp_path):
    write_pair(tmp_path, 4, 1024, nodata=0)
    assert sharpen(tmp_path, "--format", "COG") == 0
    said = subprocess.run(["gdalinfo", str(tmp_path / "fused.tif")], capture_output=True, text=True, check=True).stdout
    for word in ("LAYOUT=COG", "COMPRESSION=DEFLATE", "NoData Value=0", "FUSION_METHOD=brovey", "Overviews", "32633"):
        assert word in said


def test_plain_tiff_works_without_rasterio(tmp_path):
    write_pair(tmp_path, 3, 64, nodata=0, tiled=False)
    assert sharpen(tmp_path, output="with.tif") == 0
    code = (
        "import importlib.util, sys; real = importlib.util.find_spec; "
        "importlib.util.find_spec = lambda name, *a: None if name == 'rasterio' else real(name, *a); "
        "from waldbench.bench.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["sharpen", "--methods", "brovey", "--dataset", f"scene:{tmp_path / 'ms.tif'},{tmp_path / 'pan.tif'}"]
    words += ["--output", str(tmp_path / "without.tif")]
    refused = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "pip install rasterio" in refused.stderr
    subprocess.run([sys.executable, "-c", code, *words, "--compress", "none"], check=True, capture_output=True)
    with rasterio.open(tmp_path / "with.tif") as one, rasterio.open(tmp_path / "without.tif") as other:
        np.testing.assert_array_equal(one.read(), other.read())
        assert (one.transform, one.crs, one.nodata) == (other.transform, other.crs, other.nodata)
