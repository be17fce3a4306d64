"""Users' hyperspectral cubes: MATLAB layouts, ENVI, TIFF, NumPy, with a PAN image or with one made of their bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from tests.datasets.published import smooth_noise
from waldbench import datasets
from waldbench.bench.figures.gallery import shown_bands
from waldbench.datasets.base import DatasetError
from waldbench.datasets.formats import envi
from waldbench.datasets.formats.envi import ENDINGS, TYPES
from waldbench.datasets.scene import UserScene
from waldbench.imaging import sensors
from waldbench.imaging.filters import mtf

BANDS = 20
SHAPE = (40, 44)


def cube(bands: int = BANDS, height: int = SHAPE[0], width: int = SHAPE[1], seed: int = 0) -> np.ndarray:
    """A cube (C, H, W) of integers below 900."""
    side = max(height, width)
    return smooth_noise(1, bands, side, seed)[0, :, :height, :width].round().numpy()


def save(path: Path, **variables: object) -> str:
    scipy.io.savemat(path, variables)
    return str(path)


def write_envi(
    folder: Path,
    image: np.ndarray,
    interleave: str = "bsq",
    code: int = 12,
    byte_order: int = 0,
    ending: str = ".img",
    extra: str = "",
) -> Path:
    axes = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}[interleave]
    kind = np.dtype((">" if byte_order else "<") + TYPES[code])
    data = folder / f"scene{ending}"
    data.write_bytes(b"\0" * 16 + image.transpose(axes).astype(kind).tobytes())
    bands, height, samples = image.shape
    lines = [
        *("ENVI", "; a comment = 3", "description = {", "  two lines, one = text}"),
        *(f"samples = {samples}", f"lines   = {height}", f"bands = {bands}", "header offset = 16", f"data type = {code}"),
        *(f"interleave = {interleave.upper()}", f"byte order = {byte_order}", extra),
    ]
    (folder / "scene.hdr").write_text("\n".join(lines) + "\n")
    return data


@pytest.mark.parametrize("layout", ["HxWxC", "CxHxW", "pixels", "sized pixels", "HySure", "toolbox", "many variables"])
def test_public_matlab_layouts(tmp_path: Path, layout: str) -> None:
    image = cube()
    square = image[:, :40, :40]
    fortran = square.transpose(0, 2, 1).reshape(BANDS, -1)
    pan = np.kron(image.mean(0), np.ones((3, 3)))
    path, expected = tmp_path / "scene.mat", image
    if layout == "HxWxC":
        save(path, data=image.transpose(1, 2, 0))
    elif layout == "CxHxW":
        expected = square
        save(path, data=square)
    elif layout == "pixels":
        expected = square
        save(path, Y=fortran, M=np.ones((BANDS, 3)), A=np.ones((3, 1600)))
    elif layout == "sized pixels":
        save(path, Y=image.transpose(0, 2, 1).reshape(BANDS, -1), nRow=40, nCol=44)
    elif layout == "HySure":
        save(path, HSim=image.transpose(1, 2, 0), PCim=pan, non_del_bands=np.arange(BANDS) + 8)
    elif layout == "toolbox":
        big = np.kron(image, np.ones((1, 3, 3)))
        save(
            path,
            I_MS_LR=image.transpose(1, 2, 0),
            I_MS=big.transpose(1, 2, 0),
            I_PAN=pan,
            wavelengths=np.linspace(400, 900, BANDS),
        )
    else:
        save(path, small=np.ones((5, 6, 17)), hsi=image.transpose(1, 2, 0), labels=np.ones((40, 44)))
    dataset = datasets.open(f"scene:{path}")
    assert (dataset.task, dataset.track, dataset.sensor.count) == ("hs", "hs", BANDS)
    if layout in {"HySure", "toolbox"}:
        assert (dataset.sensor.ratio, len(dataset.split("full"))) == (3, 1)
        np.testing.assert_array_equal(dataset.split("full")[0].ms[0].numpy(), expected)
    else:
        scene = dataset.split("reduced")[0]
        assert (dataset.sensor.ratio, len(dataset.split("full"))) == (4, 0)
        np.testing.assert_array_equal(scene.gt[0].numpy(), expected)
        torch.testing.assert_close(scene.ms, mtf(scene.gt, dataset.sensor, step=4))


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
@pytest.mark.parametrize(("code", "byte_order"), [(12, 0), (2, 1), (4, 0), (5, 1)])
def test_envi_interleaves_types_and_byte_orders(tmp_path: Path, interleave: str, code: int, byte_order: int) -> None:
    image = cube()
    data = write_envi(tmp_path, image, interleave, code, byte_order)
    for path in (data, tmp_path / "scene.hdr"):
        raster = envi.read(path)
        np.testing.assert_array_equal(raster.image, image)
        assert raster.image.dtype.isnative
        assert raster.files == (tmp_path / "scene.hdr", data)


@pytest.mark.parametrize("ending", [*ENDINGS, ""])
def test_envi_data_are_found_beside_their_header(tmp_path: Path, ending: str) -> None:
    write_envi(tmp_path, cube(), ending=ending)
    assert envi.read(tmp_path / "scene.hdr").image.shape == (BANDS, *SHAPE)
    assert envi.recognises(tmp_path / "scene.hdr")


def test_an_envi_header_tells_wavelengths_widths_and_bad_bands(tmp_path: Path) -> None:
    nm = np.linspace(0.4, 1.35, BANDS)
    marks = [1] * BANDS
    marks[3] = marks[19] = 0
    extra = (
        f"wavelength units = Micrometers\nwavelength = {{{', '.join(f'{x:.4f}' for x in nm)}}}\n"
        f"fwhm = {{\n {', '.join(['0.01'] * BANDS)}}}\nbbl = {{{', '.join(map(str, marks))}}}\n"
    )
    dataset = datasets.open(f"scene:{write_envi(tmp_path, cube(), extra=extra)}", ratio=2)
    assert (dataset.sensor.count, dataset.sensor.ratio) == (18, 2)
    assert dataset.sensor.centres[:4] == pytest.approx((400, 450, 500, 600))
    assert dataset.sensor.widths == pytest.approx((10.0,) * 18)
    assert any("2 of 20 bands are bad" in notice for notice in dataset.notices)
    assert any("wavelengths from the file, 400-1300 nm" in notice for notice in dataset.notices)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("data type = 12", "data type = 6"), "data type 6.*real numbers"),
        (("interleave = BSQ", "interleave = tiled"), "'tiled'"),
        (("lines   = 40", "lines = 41"), "is it complete"),
        (("bands = 20", "bands = many"), "integer 'bands'"),
        (("byte order = 0", "byte order = 0\nfile compression = 1"), "compressed"),
        (("ENVI\n", "Header\n"), "first line ENVI"),
    ],
)
def test_broken_envi_files_are_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    image = cube()
    image[0, 0, 0] = 500
    write_envi(tmp_path, image)
    header = tmp_path / "scene.hdr"
    header.write_text(header.read_text().replace(*change))
    with pytest.raises(DatasetError, match=message):
        envi.read(header)


def test_envi_files_without_their_other_half_are_named(tmp_path: Path) -> None:
    data = write_envi(tmp_path, cube())
    data.unlink()
    with pytest.raises(DatasetError, match="no data beside it"):
        envi.read(tmp_path / "scene.hdr")
    assert not envi.recognises(tmp_path / "other.img")


def test_a_pair_of_envi_and_tiff(tmp_path: Path) -> None:
    import tifffile

    image = cube(height=40, width=40)
    data = write_envi(tmp_path, image)
    pan = np.kron(image.mean(0), np.ones((4, 4))).astype(np.uint16)
    tifffile.imwrite(tmp_path / "pan.tif", pan)
    dataset = datasets.open(f"scene:{data},{tmp_path / 'pan.tif'}", sensor="rosis")
    scene = dataset.split("full")[0]
    assert tuple(scene.ms.shape) == (1, BANDS, 40, 40)
    np.testing.assert_array_equal(scene.guide[0, 0].numpy(), pan)


@pytest.mark.parametrize(
    ("name", "axes"), [("a.tif", (0, 1, 2)), ("a.tif", (1, 2, 0)), ("a.npy", (1, 2, 0)), ("a.npy", (0, 1, 2))]
)
def test_lone_arrays(tmp_path: Path, name: str, axes: tuple[int, ...]) -> None:
    import tifffile

    image = cube(height=48, width=48).astype(np.uint16)
    if name.endswith(".tif"):
        tifffile.imwrite(tmp_path / name, image.transpose(axes), photometric="minisblack")
    else:
        np.save(tmp_path / name, image.transpose(axes))
    scene = datasets.open(f"scene:{tmp_path / name}").split("reduced")[0]
    np.testing.assert_array_equal(scene.gt[0].numpy(), image)


def test_a_lone_multispectral_image_asks_for_pan(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", cube(4).transpose(1, 2, 0))
    with pytest.raises(DatasetError, match="expected a PAN image beside it"):
        datasets.open(f"scene:{tmp_path / 'a.npy'}")


def test_fractions_become_digital_numbers(tmp_path: Path) -> None:
    image = cube() / 900
    dataset = datasets.open(f"scene:{save(tmp_path / 'a.mat', hsi=image.transpose(1, 2, 0))}")
    assert dataset.sensor.scale == 10000
    torch.testing.assert_close(dataset.split("reduced")[0].gt[0].double(), torch.from_numpy(image) * 10000, rtol=1e-5, atol=1e-2)


def test_the_scale_follows_the_highest_digital_number(tmp_path: Path) -> None:
    dataset = datasets.open(f"scene:{save(tmp_path / 'a.mat', hsi=6 * cube().transpose(1, 2, 0))}")
    assert dataset.sensor.scale == 8191


def test_flat_bands_are_told(tmp_path: Path) -> None:
    image = cube()
    image[7] = 3
    dataset = datasets.open(f"scene:{save(tmp_path / 'a.mat', hsi=image.transpose(1, 2, 0))}")
    assert any("1 of 20 bands are flat" in notice for notice in dataset.notices)


def test_pan_is_the_mean_of_the_visible_bands(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mat", hsi=cube().transpose(1, 2, 0), wavelength=np.linspace(350, 1300, BANDS))
    dataset = datasets.open(f"scene:{path}")
    scene = dataset.split("reduced")[0]
    inside = [band for band, nm in enumerate(np.linspace(350, 1300, BANDS)) if 400 <= nm <= 700]
    torch.testing.assert_close(scene.guide[:, 0], scene.gt[:, inside].mean(1), rtol=1e-5, atol=1e-2)
    assert any("SIMULATED: plain mean of the 7 bands" in notice for notice in dataset.notices)


@pytest.mark.parametrize("ending", [".mat", ".csv", ".txt", ".npy"])
def test_pan_follows_a_given_response(tmp_path: Path, ending: str) -> None:
    path = save(tmp_path / "a.mat", hsi=cube().transpose(1, 2, 0), wavelength=np.linspace(400, 1350, BANDS))
    table = np.array([[600.0, 0.0], [610, 1], [740, 1], [750, 0]])
    file = tmp_path / f"response{ending}"
    if ending == ".mat":
        save(file, response=np.hstack([table, table[:, 1:]]))
    elif ending == ".npy":
        np.save(file, table)
    else:
        np.savetxt(file, table, delimiter="," if ending == ".csv" else " ", header="nm, PAN", comments="")
    dataset = datasets.open(f"scene:{path}", response=file)
    scene = dataset.split("reduced")[0]
    torch.testing.assert_close(scene.guide[:, 0], scene.gt[:, 5:7].mean(1), rtol=1e-5, atol=1e-2)
    assert dataset.sensor.pan == (610, 740)
    assert dataset.fingerprint != datasets.open(f"scene:{path}").fingerprint


def test_wrong_responses_are_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mat", hsi=cube().transpose(1, 2, 0), wavelength=np.linspace(1000, 2000, BANDS))
    with pytest.raises(DatasetError, match=r"no band of .* lies in PAN's range"):
        datasets.open(f"scene:{path}")
    (tmp_path / "words.csv").write_text("nm,PAN\nred,blue\n")
    with pytest.raises(DatasetError, match="rows of nm"):
        datasets.open(f"scene:{path}", response=tmp_path / "words.csv")
    pair = save(tmp_path / "b.mat", HSim=cube().transpose(1, 2, 0), PCim=np.ones((80, 88)))
    with pytest.raises(DatasetError, match="this scene has one"):
        datasets.open(f"scene:{pair}", response=tmp_path / "words.csv")


@pytest.mark.parametrize(
    ("name", "options", "variables", "expected"),
    [
        ("hyperion_x.mat", {}, {"non_del_bands": np.arange(BANDS) + 8}, "Hyperion .*by their numbers"),
        ("jasper.mat", {}, {"SlectBands": np.arange(BANDS) + 4}, "AVIRIS .*by their numbers"),
        ("a.mat", {"sensor": "aviris"}, {}, "20 of 224 bands of AVIRIS"),
        ("a.mat", {}, {}, "wavelengths unknown.*--sensor"),
        ("samson.mat", {}, {"wave": np.linspace(450, 800, BANDS)}, "from the file, 450-800"),
    ],
)
def test_wavelengths_are_found_or_said_to_be_unknown(tmp_path: Path, name, options, variables, expected) -> None:
    import re

    path = save(tmp_path / name, hsi=cube().transpose(1, 2, 0), **variables)
    dataset = UserScene(path, **options)
    assert any(re.search(expected, notice) for notice in dataset.notices)
    assert shown_bands(dataset.sensor.key, BANDS) == dataset.sensor.rgb


def test_a_sensor_of_another_number_of_bands_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mat", hsi=cube().transpose(1, 2, 0))
    with pytest.raises(DatasetError, match="20 bands, but --sensor says HYDICE"):
        UserScene(path, sensor="wdc")
    assert (
        UserScene(save(tmp_path / "b.mat", hsi=cube(191).transpose(1, 2, 0)), sensor="wdc").sensor.bands
        == sensors.get("wdc").bands
    )


def test_a_large_cube_trains_on_a_part_that_the_test_part_does_not_touch(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mat", hsi=cube(17, 128, 260).transpose(1, 2, 0))
    dataset = UserScene(path, holdout=0.4, ratio=4)
    assert len(dataset.split("train")) >= 4
    assert len(dataset.split("valid"))
    test = dataset.split("reduced")[0]
    assert test.gt.shape[-1] == 104
    torch.testing.assert_close(test.ms, mtf(test.gt, dataset.sensor, step=4))


def test_the_option_task_decides_whatever_the_bands(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mat", I_MS=cube(8, 40, 40).transpose(1, 2, 0), I_PAN=np.kron(cube(1, 40, 40)[0], np.ones((4, 4))))
    assert UserScene(path).task == "ms"
    assert UserScene(path, task="hs").task == "hs"


def test_matlab_files_without_a_cube_say_what_they_hold(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"more than 16 bands; found \['labels'\]"):
        UserScene(save(tmp_path / "a.mat", labels=np.ones((40, 44))))
