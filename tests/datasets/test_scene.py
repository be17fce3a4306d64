from __future__ import annotations

import pickle
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import torch

from tests.datasets.published import smooth_noise
from waldbench import datasets
from waldbench.catalogue import UnknownNameError
from waldbench.datasets.base import DatasetError
from waldbench.datasets.scene import UserScene
from waldbench.datasets.scene_parts import divide
from waldbench.imaging import interp23, sensors
from waldbench.imaging.filters import mtf
from waldbench.imaging.resampling import decimate, imresize
from waldbench.imaging.wald import degrade

REAL = Path(__file__).parents[2] / "../shared/data/ms"


def pair(bands: int = 4, side: int = 64, seed: int = 0, ratio: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """MS (h, w, C) and PAN (H, W) of one area, uint16."""
    ms, pan = _pair(bands, side, seed, ratio)
    return ms.copy(), pan.copy()


@lru_cache(maxsize=32)
def _pair(bands: int, side: int, seed: int, ratio: int) -> tuple[np.ndarray, np.ndarray]:
    scene = smooth_noise(1, bands, side * ratio, seed)[0]
    ms = decimate(mtf(scene[None], sensors.generic(bands, ratio)), ratio)[0]
    return ms.permute(1, 2, 0).numpy().astype(np.uint16), scene.mean(0).numpy().astype(np.uint16)


def tiffs(folder: Path, prefix: str = "", **images: np.ndarray) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for role, image in images.items():
        tifffile.imwrite(folder / f"{prefix}{role}.tif", image, photometric="minisblack")
    return str(folder / prefix.rstrip("_")) if prefix else str(folder)


def mat73(path: Path, **variables: np.ndarray | str) -> str:
    """A MATLAB 7.3 file: HDF5 behind a 512-byte header, axes in reverse, text as code units."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            if isinstance(value, str):
                node = file.create_dataset(name, data=np.array([[ord(c)] for c in value], dtype=np.uint16))
                node.attrs["MATLAB_class"] = np.bytes_("char")
            else:
                file.create_dataset(name, data=value.T)
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    with path.open("r+b") as stream:
        stream.write(header)
    return str(path)


def numbers(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]


def test_mat_of_version_5_with_everything_in_it(tmp_path: Path) -> None:
    ms, pan = pair(8)
    path = tmp_path / "somewhere.mat"
    scipy.io.savemat(path, {"I_MS": ms, "I_PAN": pan, "sensor": "WV2", "ratio": 4, "L": 12, "RGB_indexes": [4, 2, 1]})
    dataset = datasets.open(f"scene:{path}")
    assert (dataset.key, dataset.task, dataset.source) == ("scene-somewhere", "ms", "user")
    assert dataset.label == f"scene-somewhere-{dataset.fingerprint[:6]}"
    assert (dataset.sensor.key, dataset.sensor.bits, dataset.sensor.rgb) == ("wv2", 12, (3, 1, 0))
    full = dataset.split("full")[0]
    torch.testing.assert_close(full.ms, numbers(ms), rtol=0, atol=0)
    assert torch.equal(full.guide[0, 0], torch.from_numpy(pan.astype(np.float32)))
    torch.testing.assert_close(full.lms, interp23(full.ms, 4))
    assert full.gt is None


def test_mat_of_version_73_equals_version_5(tmp_path: Path) -> None:
    ms, pan = pair(4)
    scipy.io.savemat(tmp_path / "old.mat", {"I_MS": ms, "I_PAN": pan, "sensor": "IKONOS"})
    old = UserScene(str(tmp_path / "old.mat"))
    new = UserScene(mat73(tmp_path / "new.mat", I_MS=ms, I_PAN=pan, sensor="IKONOS"))
    assert new.sensor == old.sensor == sensors.get("ikonos")
    for name in ("reduced", "full"):
        for label, image in old.split(name)[0].images().items():
            assert torch.equal(image, new.split(name)[0].images()[label])


@pytest.mark.parametrize(
    "names",
    [
        {"ms": "I_MS_LR", "pan": "I_PAN", "gt": "I_GT", "lms": "I_MS"},
        {"ms": "I_MS", "pan": "I_PAN", "gt": "I_GT"},
        {"ms": "ms", "pan": "pan", "gt": "gt", "lms": "lms"},
    ],
    ids=["toolbox", "plain", "pancollection"],
)
def test_mat_with_a_ground_truth(tmp_path: Path, names: dict[str, str]) -> None:
    gt, _ = pair(4, 32)
    large = np.repeat(np.repeat(gt, 4, 0), 4, 1)
    ms, pan = gt, large[..., 0]
    content = {"ms": ms, "pan": pan, "gt": large, "lms": large}
    scipy.io.savemat(tmp_path / "qb.mat", {name: content[role] for role, name in names.items()})
    dataset = UserScene(str(tmp_path / "qb.mat"))
    scene = dataset.split("reduced")[0]
    assert torch.equal(scene.ms, numbers(ms))
    assert scene.gt is not None
    assert torch.equal(scene.gt, numbers(large))
    assert len(dataset.split("full")) == 0


def test_mat_with_a_given_reduced_pair(tmp_path: Path) -> None:
    ms, pan = pair(4, 64)
    low, low_pan = ms[2::4, 2::4] + 1, pan[2::4, 2::4] + 2
    scipy.io.savemat(tmp_path / "gf2.mat", {"I_MS": ms, "I_PAN": pan, "I_MS_LR": low, "I_PAN_LR": low_pan})
    dataset = UserScene(str(tmp_path / "gf2.mat"))
    scene = dataset.split("reduced")[0]
    assert scene.gt is not None
    for image, expected in ((scene.ms, low), (scene.guide, low_pan[..., None]), (scene.gt, ms)):
        assert torch.equal(image, numbers(expected))
    assert torch.equal(dataset.split("full")[0].ms, numbers(ms))


@pytest.mark.parametrize(
    "layout", ["folder", "folder with one name", "prefix", "one file of the pair", "comma", "bands first", "npy"]
)
def test_ways_to_name_a_pair(tmp_path: Path, layout: str) -> None:
    ms, pan = pair(4)
    folder = tmp_path / "area"
    if layout == "folder":
        path = tiffs(folder, ms=ms, pan=pan)
    elif layout == "folder with one name":
        tiffs(folder, "x_", ms=ms, pan=pan)
        path = str(folder)
    elif layout in {"prefix", "one file of the pair"}:
        tiffs(folder, "other_", ms=ms, pan=pan)
        path = tiffs(folder, "x_", ms=ms, pan=pan)
        path += "_pan.tif" if layout == "one file of the pair" else ""
    elif layout == "npy":
        folder.mkdir()
        np.save(folder / "x_ms.npy", ms)
        np.save(folder / "x_pan.npy", pan[None])
        path = str(folder / "x")
    else:
        tiffs(folder, ms=np.moveaxis(ms, -1, 0) if layout == "bands first" else ms, pan=pan)
        path = f"{folder}/ms.tif, {folder}/pan.tif"
    dataset = datasets.open(f"scene:{path}")
    assert torch.equal(dataset.split("full")[0].ms, numbers(ms))
    assert dataset.key == ("scene-area" if layout in {"folder", "comma", "bands first"} else "scene-x")


def test_three_files_are_a_reduced_scene(tmp_path: Path) -> None:
    gt, _ = pair(4, 128)
    ms = gt[2::4, 2::4]
    tiffs(tmp_path, "qb_", ms=ms, pan=gt.mean(-1).astype(np.uint16), gt=gt)
    dataset = datasets.open("scene:" + ",".join(str(tmp_path / f"qb_{role}.tif") for role in ("ms", "pan", "gt")))
    assert [len(dataset.split(name)) for name in ("reduced", "full")] == [1, 0]
    assert (dataset.key, dataset.sensor.key) == ("scene-qb", "qb")


def test_walds_protocol_makes_the_original_the_truth(tmp_path: Path) -> None:
    ms, pan = pair(4, 64)
    scene = UserScene(tiffs(tmp_path, ms=ms, pan=pan), sensor="qb").split("reduced")[0]
    assert scene.gt is not None
    assert torch.equal(scene.gt, numbers(ms))
    torch.testing.assert_close(scene.ms, decimate(mtf(numbers(ms), sensors.get("qb")), 4), rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(scene.guide, imresize(numbers(pan[..., None]), 0.25))
    torch.testing.assert_close(scene.lms, interp23(scene.ms, 4))


def test_degrade_refuses_sizes_that_do_not_fit() -> None:
    ms, pan = torch.ones(1, 4, 16, 16), torch.ones(1, 1, 64, 60)
    with pytest.raises(ValueError, match=r"pan 4 times as large, got ms 16x16 and pan 64x60; crop both"):
        degrade(ms, pan, sensors.get("qb"))


def test_sensor_from_the_option_the_file_the_name_or_the_bands(tmp_path: Path) -> None:
    ms, pan = pair(4)
    scipy.io.savemat(tmp_path / "qb_area.mat", {"I_MS": ms, "I_PAN": pan, "sensor": "IKONOS"})
    assert UserScene(str(tmp_path / "qb_area.mat")).sensor.key == "ikonos"
    assert UserScene(str(tmp_path / "qb_area.mat"), sensor="gf2").sensor.key == "gf2"
    assert UserScene(str(tmp_path / "qb_area.mat"), sensor=sensors.get("ge1")).sensor.key == "ge1"
    guessed = UserScene(tiffs(tmp_path, "my-qb.2019_", ms=ms, pan=pan))
    assert guessed.sensor.key == "qb"
    assert any("QuickBird guessed from the name 'my-qb.2019'" in notice for notice in guessed.notices)
    unknown = UserScene(tiffs(tmp_path, "area_", ms=ms, pan=pan))
    assert unknown.sensor == sensors.generic(4)
    assert any("sensor unknown" in notice and "--sensor" in notice for notice in unknown.notices)


def test_a_name_that_fits_no_band_count_is_not_believed(tmp_path: Path) -> None:
    ms, pan = pair(4)
    dataset = UserScene(tiffs(tmp_path, "wv3_", ms=ms, pan=pan))
    assert dataset.sensor == sensors.generic(4)
    assert any("suggests WorldView-3 of 8 bands, but the image has 4" in notice for notice in dataset.notices)


def test_band_mismatch_names_both(tmp_path: Path) -> None:
    ms, pan = pair(4)
    path = tiffs(tmp_path, ms=ms, pan=pan)
    with pytest.raises(
        DatasetError, match=r"the image has 4 bands, but --sensor says WorldView-3 with 8 .*sensors of 4 bands: .*qb"
    ):
        UserScene(path, sensor="wv3")
    scipy.io.savemat(tmp_path / "a.mat", {"I_MS": ms, "I_PAN": pan, "sensor": "WV2"})
    with pytest.raises(DatasetError, match="the file says WorldView-2 with 8"):
        UserScene(str(tmp_path / "a.mat"))
    with pytest.raises(UnknownNameError, match="unknown sensor 'landsat'"):
        UserScene(path, sensor="landsat")


def test_values_above_the_scale_raise_the_bits(tmp_path: Path) -> None:
    ms, pan = pair(4)
    dataset = UserScene(tiffs(tmp_path, "gf2_", ms=ms * 3, pan=pan * 3))
    assert dataset.sensor.bits == int(max(ms.max(), pan.max()) * 3).bit_length()
    assert any("more than the 10 bits of GaoFen-2" in notice for notice in dataset.notices)


@pytest.mark.parametrize("ratio", [2, 3, 6])
def test_other_ratios_follow_from_the_sizes(tmp_path: Path, ratio: int) -> None:
    ms, pan = pair(4, 72, ratio=ratio)
    dataset = UserScene(tiffs(tmp_path, "qb_", ms=ms, pan=pan), holdout=0.4)
    assert dataset.sensor.ratio == ratio
    assert dataset.split("full")[0].ratio == dataset.split("reduced")[0].ratio == ratio


def test_odd_and_disagreeing_sizes_are_cropped_with_a_notice(tmp_path: Path) -> None:
    ms, pan = pair(4, 70)
    dataset = UserScene(tiffs(tmp_path, "qb_", ms=ms[:69], pan=pan[:279, :278]))
    full, reduced = dataset.split("full")[0], dataset.split("reduced")[0]
    assert tuple(full.ms.shape[-2:]) == (69, 69)
    assert torch.equal(full.ms, numbers(ms[:69, :69]))
    assert tuple(reduced.guide.shape[-2:]) == (68, 68)
    assert any("ms 69x70, pan 279x278 -> ms 69x69, pan 276x276" in notice for notice in dataset.notices)
    assert any("MS cut from 69x69 to 68x68" in notice for notice in dataset.notices)


def test_a_large_scene_is_divided_into_parts_that_do_not_touch(tmp_path: Path) -> None:
    ms, pan = pair(4, 264)
    rows, columns = np.meshgrid(np.arange(264), np.arange(264), indexing="ij")
    # Band 1 and 2 of the ground truth hold their own row and column.
    ms = np.stack([rows + 2, columns + 2, *np.moveaxis(ms, -1, 0)[2:]], -1).astype(np.uint16)
    dataset = UserScene(tiffs(tmp_path, "qb_", ms=ms, pan=pan), holdout=0.4, patch=32)
    seen = {}
    for name in ("train", "valid", "reduced"):
        gt = dataset.split(name)[:].gt
        assert gt is not None
        seen[name] = [(int(gt[:, b].min()) - 2, int(gt[:, b].max()) - 2) for b in (0, 1)]
    test_left = 264 - int(0.4 * 66) * 4
    assert seen["reduced"] == [(0, 263), (test_left, 263)]
    assert seen["train"][1][1] < test_left - 16
    assert seen["valid"][1][1] < test_left - 16
    assert seen["train"][0][1] + 16 < seen["valid"][0][0]
    full = dataset.split("full")[0]
    assert torch.equal(full.ms, numbers(ms[:, test_left:]))
    assert torch.equal(full.guide, numbers(pan[:, 4 * test_left :, None]))


def test_training_pixels_do_not_depend_on_the_test_part(tmp_path: Path) -> None:
    ms, pan = pair(4, 264)
    options = {"sensor": "qb", "holdout": 0.4}
    before = UserScene(tiffs(tmp_path / "a", ms=ms, pan=pan), **options)
    ms, pan = ms.copy(), pan.copy()
    left = 264 - int(0.4 * 66) * 4
    ms[:, left:], pan[:, 4 * left :] = 1, 1
    after = UserScene(tiffs(tmp_path / "b", ms=ms, pan=pan), **options)
    for name in ("train", "valid"):
        for label, image in before.split(name)[:].images().items():
            assert torch.equal(image, after.split(name)[:].images()[label])


def test_training_patches(tmp_path: Path) -> None:
    ms, pan = pair(4, 264)
    dataset = UserScene(tiffs(tmp_path, ms=ms, pan=pan), sensor="qb", holdout=0.4, patch=32)
    train, valid = dataset.split("train"), dataset.split("valid")
    assert len(train) >= 4
    assert len(valid) >= 1
    batch = train[[0, 1, len(train) - 1]]
    assert tuple(batch.ms.shape) == (3, 4, 8, 8)
    assert tuple(batch.guide.shape) == (3, 1, 32, 32)
    assert batch.gt is not None
    assert torch.equal(batch.gt[0, :, :, 16:], batch.gt[1, :, :, :16])
    assert len(set(batch.name)) == 3
    copy = pickle.loads(pickle.dumps(train))
    assert torch.equal(copy[1].lms, train[1].lms)


@pytest.mark.parametrize("holdout", [0.0, 0.1, 0.35, 0.4, 0.8])
@pytest.mark.parametrize("size", [(10, 24), (24, 24), (25, 63), (100, 100), (11, 300), (40, 41)])
@pytest.mark.parametrize("ratio", [2, 4, 6])
def test_parts_never_overlap(size: tuple[int, int], holdout: float, ratio: int) -> None:
    parts = divide(*size, ratio, holdout, 32)
    if parts.train is None or parts.valid is None:
        assert parts.reason
        assert (parts.test.width, parts.test.height) == (size[1], size[0])
        return
    assert parts.test.width * ratio >= 96
    assert parts.test.left + parts.test.width == size[1]
    for part in (parts.train, parts.valid):
        assert (parts.test.left - part.left - part.width) * ratio >= 16
    assert (parts.valid.top - parts.train.top - parts.train.height) * ratio >= 16
    assert parts.valid.top + parts.valid.height == size[0]


@pytest.mark.parametrize(
    ("side", "holdout", "reason"),
    [(128, 0.4, "at least 96 are needed"), (200, 0.8, "training patches"), (264, 0.0, "holdout is 0")],
)
def test_a_scene_that_cannot_be_divided_is_tested_as_a_whole(tmp_path: Path, side: int, holdout: float, reason: str) -> None:
    ms, pan = pair(4, side)
    dataset = UserScene(tiffs(tmp_path, ms=ms, pan=pan), sensor="qb", holdout=holdout)
    assert [len(dataset.split(name)) for name in ("train", "valid", "reduced", "full")] == [0, 0, 1, 1]
    assert dataset.split("full")[0].ms.shape[-1] == side
    assert any(reason in notice for notice in dataset.notices)
    with pytest.raises(DatasetError, match=reason):
        dataset.split("train")[:]


def test_a_tiny_scene_has_only_a_full_split(tmp_path: Path) -> None:
    ms, pan = pair(4, 40)
    dataset = UserScene(tiffs(tmp_path, ms=ms, pan=pan), sensor="qb", holdout=0.4)
    assert [len(dataset.split(name)) for name in ("train", "valid", "reduced", "full")] == [0, 0, 0, 1]
    assert any("too small to be degraded" in notice for notice in dataset.notices)


def test_a_pair_degraded_with_another_phase_is_noticed(tmp_path: Path) -> None:
    gt, _ = pair(4, 128)
    blurred = mtf(numbers(gt), sensors.get("qb"))[0].permute(1, 2, 0).numpy()
    pan = gt.mean(-1).astype(np.uint16)
    for start, expected in ((2, 0), (0, 1)):
        path = tiffs(tmp_path, f"qb_{start}_", ms=blurred[start::4, start::4].astype(np.uint16), pan=pan, gt=gt)
        found = [notice for notice in UserScene(path).notices if "(-2, -2) PAN pixels" in notice]
        assert len(found) == expected


def test_fingerprint_follows_content_and_options(tmp_path: Path) -> None:
    ms, pan = pair(4)
    path = tiffs(tmp_path / "a", ms=ms, pan=pan)
    first = UserScene(path, sensor="qb").fingerprint
    assert UserScene(tiffs(tmp_path / "b", ms=ms, pan=pan), sensor="qb").fingerprint == first
    assert UserScene(path, sensor="ikonos").fingerprint != first
    assert UserScene(path, sensor="qb", holdout=0.2).fingerprint != first
    ms[0, 0, 0] += 1
    assert UserScene(tiffs(tmp_path / "c", ms=ms, pan=pan), sensor="qb").fingerprint != first


def test_infinite_values_are_refused_with_their_place_and_nan_has_no_data(tmp_path: Path) -> None:
    ms, pan = pair(4)
    bad = ms.astype(np.float32)
    bad[5, 7, 2] = np.inf
    with pytest.raises(DatasetError, match=r"ms\.tif: 1 infinite values, the first in band 3 at row 5, column 7"):
        UserScene(tiffs(tmp_path, ms=bad, pan=pan))
    bad[5, 7, 2] = np.nan
    dataset = UserScene(tiffs(tmp_path, ms=bad, pan=pan))
    assert any("ms.tif: 1 of 4096 pixels" in notice for notice in dataset.notices)
    full, reduced = dataset.split("full")[0], dataset.split("reduced")[0]
    full.check_finite()
    assert full.valid is not None
    assert reduced.valid is not None
    assert torch.equal((~full.valid[0, 0]).nonzero().amin(0), torch.tensor([20, 28]))
    assert (int((~full.valid).sum()), int((~reduced.valid).sum())) == (16, 1)
    # A neighbour stands in the gap.
    assert float(full.ms[0, 2, 5, 7]) in {float(ms[row, column, 2]) for row, column in ((4, 7), (6, 7), (5, 6), (5, 8))}


def write_bad(folder: Path, case: str) -> str:
    ms, pan = pair(4)
    if case == "several pairs":
        tiffs(folder, "a_", ms=ms, pan=pan)
        tiffs(folder, "b_", ms=ms, pan=pan)
    elif case == "empty folder":
        folder.mkdir()
    elif case == "no such prefix":
        tiffs(folder, "qb_", ms=ms, pan=pan)
        return str(folder / "q")
    elif case == "no such mat":
        return str(folder / "x.mat")
    elif case == "no such folder":
        return str(folder / "x" / "y")
    elif case == "four files":
        return "a,b,c,d"
    elif case == "missing file":
        return f"{tiffs(folder, ms=ms, pan=pan)}/ms.tif,{folder}/nopan.tif"
    elif case == "wrong order":
        return f"{tiffs(folder, ms=ms, pan=pan)}/pan.tif,{folder}/ms.tif"
    elif case == "other area":
        tiffs(folder, ms=ms[:40], pan=pan)
    elif case == "interpolated":
        tiffs(folder, ms=np.repeat(np.repeat(ms, 4, 0), 4, 1), pan=pan)
    elif case == "reflectance":
        tiffs(folder, ms=(ms / 2047).astype(np.float32), pan=pan)
    elif case == "complex":
        tiffs(folder, ms=ms.astype(np.complex64), pan=pan)
    elif case == "broken tif":
        tiffs(folder, ms=ms, pan=pan)
        (folder / "ms.tif").write_bytes((folder / "ms.tif").read_bytes()[:300])
    elif case == "no tif":
        tiffs(folder, ms=ms, pan=pan)
        (folder / "ms.tif").write_text("<html>")
    elif case == "other ending":
        return f"{tiffs(folder, ms=ms, pan=pan)}/ms.tif,{write_text(folder / 'pan.jpg')}"
    elif case == "other variables":
        folder.mkdir()
        scipy.io.savemat(folder / "x.mat", {"cube": ms})
        return str(folder / "x.mat")
    elif case == "broken mat":
        folder.mkdir()
        scipy.io.savemat(folder / "x.mat", {"I_MS": ms, "I_PAN": pan})
        (folder / "x.mat").write_bytes((folder / "x.mat").read_bytes()[:5000])
        return str(folder / "x.mat")
    return str(folder)


def write_text(path: Path) -> Path:
    path.write_text("text")
    return path


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("several pairs", r"holds 2 pairs .* name it, scene:.*scenes there: a, b"),
        ("empty folder", "holds no pairs"),
        ("no such prefix", r"q_ms\.tif and .*prefixes there: qb\. Expected FILE\.mat"),
        ("no such mat", r"no such file: .*x\.mat"),
        ("no such folder", "no such folder"),
        ("four files", "expected MS,PAN or MS,PAN,GT, got 4 paths"),
        ("missing file", r"no such file: .*nopan\.tif"),
        ("wrong order", "expected one panchromatic band .* give PAN second"),
        ("other area", r"ms\.tif: shape \(40, 64, 4\) fits PAN \(256, 256\) at no integer ratio"),
        ("interpolated", "expected PAN sides at least twice those of MS, found ratio 1"),
        ("reflectance", "expected digital numbers"),
        ("complex", "expected real numbers, found complex64"),
        ("broken tif", r"ms\.tif: "),
        ("no tif", r"ms\.tif: expected a TIFF file, found a saved web page of 6 bytes"),
        ("other ending", r"pan\.jpg: expected one of \.tif"),
        ("other variables", r"expected variables I_MS and I_PAN .* found \['cube'\]"),
        ("broken mat", "cannot be read as a MATLAB file"),
    ],
)
def test_bad_input_is_named_with_its_remedy(tmp_path: Path, case: str, message: str) -> None:
    path = write_bad(tmp_path / "scene", case)
    with pytest.raises(DatasetError, match=message):
        UserScene(path)


@pytest.mark.parametrize("options", [{"holdout": 0.9}, {"holdout": -0.1}, {"patch": 2}])
def test_bad_options(tmp_path: Path, options: dict[str, float]) -> None:
    with pytest.raises(DatasetError, match=r"expected holdout 0 to 0\.8 and patch 8 or more"):
        UserScene(str(tmp_path), **options)


def test_an_asked_ratio_must_fit_the_sizes(tmp_path: Path) -> None:
    ms, pan = pair(4)
    with pytest.raises(DatasetError, match="at ratio 2; all images must show the same area"):
        UserScene(tiffs(tmp_path, ms=ms, pan=pan), ratio=2)


def test_the_folder_is_not_written_to(tmp_path: Path) -> None:
    ms, pan = pair(4)
    path = tiffs(tmp_path, ms=ms, pan=pan)
    before = {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in tmp_path.iterdir()}
    dataset = UserScene(path)
    assert len(dataset.split("full")[[0, 0]]) == 2
    assert {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in tmp_path.iterdir()} == before


REAL_SCENES = {
    "wv2_full.mat": ("wv2", 11, (8, 320, 320), 1),
    "ikonos_full.mat": ("ikonos", 11, (4, 320, 320), 1),
    "wv3_full_and_reduced.mat": ("wv3", 11, (8, 128, 128), 1),
    "qb_full": ("qb", 11, (4, 256, 256), 1),
    "gf2_full": ("gf2", 10, (4, 100, 100), 1),
    "spot6_full": ("spot6", 12, (4, 256, 256), 1),
    "qb_reduced_train": ("qb", 11, (4, 64, 64), 0),
    "qb_reduced_test": ("qb", 11, (4, 64, 64), 0),
    "gf2_reduced": ("gf2", 10, (4, 100, 100), 0),
}


@pytest.mark.parametrize("name", REAL_SCENES)
def test_real_scenes(name: str) -> None:
    if not REAL.is_dir():
        pytest.skip("real images are not part of the project; put them into ../shared/data/ms")
    sensor, bits, shape, full = REAL_SCENES[name]
    dataset = datasets.open(f"scene:{REAL / name}")
    assert (dataset.sensor.key, dataset.sensor.bits, len(dataset.split("full"))) == (sensor, bits, full)
    scene = dataset.split("full" if full else "reduced")[0]
    assert tuple(scene.ms.shape[1:]) == shape
    assert len(dataset.split("reduced")) == 1
    # PAN averaged over the area of an MS pixel follows the bands it sees: a flipped or transposed image would not.
    low, bands = imresize(scene.guide, 0.25)[0], scene.ms[0].mean(0, keepdim=True)
    assert float(torch.corrcoef(torch.stack([low.flatten(), bands.flatten()]))[0, 1]) > 0.75
