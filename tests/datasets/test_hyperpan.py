"""HyperPanCollection: tiny files in the published layout, with every defect and unknown of the data sheet."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.datasets.published import smooth_noise, write
from waldbench import datasets
from waldbench.bench.data_check import check_data
from waldbench.datasets.base import DatasetError
from waldbench.datasets.cube_statistics import detect_values, model_pan
from waldbench.datasets.hyperpan import WashingtonDC
from waldbench.datasets.simulated import SimulatedTwin
from waldbench.imaging import interp23, sensors
from waldbench.imaging.filters import mtf

FILES = {"wdc": "WDC", "pavia": "Pavia", "botswana": "Botswana", "fr1": "FR1"}


def arrays(key: str, count: int = 2, low: int = 12, scale: float = 1.0, visible: int = 30) -> dict[str, np.ndarray]:
    """Arrays GT, LMS, MS, PAN of one file; PAN is the mean of the first `visible` bands."""
    sensor = sensors.get(key)
    gt = smooth_noise(count, sensor.count, low * sensor.ratio, seed=len(key)) * scale
    ms = mtf(gt, sensor, step=sensor.ratio)
    made = {"GT": gt, "LMS": interp23(ms, sensor.ratio), "MS": ms, "PAN": gt[:, :visible].mean(1, keepdim=True)}
    return {name: image.numpy() for name, image in made.items()}


def write_all(root: Path, key: str, parts: tuple[str, ...] = ("Train", "Valid", "Test"), **options: float) -> None:
    for part in parts:
        write(root / f"{part}_{FILES[key]}.h5", arrays(key, **options))


@pytest.mark.parametrize("key", FILES)
def test_published_files_open_with_their_sensor(tmp_path: Path, key: str) -> None:
    write_all(tmp_path, key)
    dataset = datasets.open(key, root=tmp_path, source="published")
    bands, ratio = dataset.sensor.count, dataset.sensor.ratio
    assert (dataset.key, dataset.task, dataset.track, dataset.source) == (key, "hs", "hs", "published")
    assert (bands, ratio) == {"wdc": (191, 4), "pavia": (102, 4), "botswana": (145, 4), "fr1": (69, 6)}[key]
    for name in ("train", "valid", "reduced"):
        scene = dataset.split(name)[:]
        assert tuple(scene.ms.shape) == (2, bands, 12, 12)
        assert tuple(scene.lms.shape) == tuple(scene.gt.shape) == (2, bands, 12 * ratio, 12 * ratio)
        assert scene.guide.shape[1] == 1
    assert len(dataset.split("full")) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pixels_are_those_of_the_file_in_either_precision(tmp_path: Path, dtype: type) -> None:
    content = {name: array.astype(dtype) for name, array in arrays("pavia", count=3).items()}
    write(tmp_path / "Test_Pavia.h5", content)
    scene = datasets.open("pavia", root=tmp_path).split("reduced")[[2, 0]]
    for name, image in {"MS": scene.ms, "LMS": scene.lms, "PAN": scene.guide, "GT": scene.gt}.items():
        np.testing.assert_array_equal(image.numpy(), content[name][[2, 0]].astype(np.float32))


def test_files_are_only_read(tmp_path: Path) -> None:
    path = write(tmp_path / "Test_FR1.h5", arrays("fr1"))
    before = path.read_bytes()
    path.chmod(stat.S_IRUSR)
    dataset = datasets.open("fr1", root=tmp_path)
    assert dataset.split("reduced")[0].gt is not None
    assert path.read_bytes() == before


def test_fractions_are_detected_and_become_digital_numbers(tmp_path: Path) -> None:
    write_all(tmp_path, "fr1", scale=1 / 900)
    dataset = datasets.open("fr1", root=tmp_path)
    scene = dataset.split("reduced")[0]
    assert dataset.sensor.scale == 10000
    assert 5000 < float(scene.gt.max()) < 12000
    np.testing.assert_allclose(scene.ms.numpy(), 10000 * arrays("fr1", scale=1 / 900)["MS"][:1], rtol=1e-5)
    assert any("fractions, multiplied by 10000" in notice for notice in dataset.notices)


def test_digital_numbers_are_detected_with_their_bits(tmp_path: Path) -> None:
    write_all(tmp_path, "fr1", scale=7)
    dataset = datasets.open("fr1", root=tmp_path)
    assert (dataset.sensor.bits, dataset.sensor.scale) == (13, 8191)
    assert any("digital numbers of 13 bits" in notice for notice in dataset.notices)


def test_files_of_different_ranges_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "Train_FR1.h5", arrays("fr1", scale=1 / 900))
    write(tmp_path / "Test_FR1.h5", arrays("fr1"))
    with pytest.raises(DatasetError, match=r"train reaches 0.* test reaches .*files of one release"):
        datasets.open("fr1", root=tmp_path)


def test_negative_values_are_told(tmp_path: Path) -> None:
    content = arrays("fr1")
    content["MS"][0, 3] -= 2000
    write(tmp_path / "Test_FR1.h5", content)
    assert any("negative values" in notice for notice in datasets.open("fr1", root=tmp_path).notices)


def test_the_weights_of_pan_are_found_and_give_its_range(tmp_path: Path) -> None:
    write_all(tmp_path, "fr1", visible=20)
    dataset = datasets.open("fr1", root=tmp_path)
    weights = np.array(dataset.pan_weights)
    np.testing.assert_allclose(weights[:20], 1 / 20, atol=2e-3)
    assert weights[20:].max() < 2e-3
    assert any("R2 1.0000" in notice and "bands 1-20" in notice for notice in dataset.notices)
    assert dataset.sensor.within_pan() == (True,) * 20 + (False,) * 49


def test_a_pan_of_its_own_keeps_the_documented_range(tmp_path: Path) -> None:
    content = arrays("fr1")
    content["PAN"] = smooth_noise(2, 1, 72, seed=99).numpy()
    write(tmp_path / "Test_FR1.h5", content)
    dataset = datasets.open("fr1", root=tmp_path)
    assert dataset.sensor.pan == sensors.get("fr1").pan
    assert any("PAN is no sum of the bands" in notice for notice in dataset.notices)


def test_how_ms_follows_from_gt_is_measured(tmp_path: Path) -> None:
    write_all(tmp_path, "fr1")
    assert any("by 0.00% of its mean" in notice for notice in datasets.open("fr1", root=tmp_path).notices)
    content = arrays("fr1")
    content["MS"] = np.roll(content["MS"], 1, axis=-1)
    write(tmp_path / "Train_FR1.h5", content)
    assert any("MS is shifted against GT in" in notice for notice in datasets.open("fr1", root=tmp_path).notices)


def test_without_a_validation_file_the_last_training_patches_validate(tmp_path: Path) -> None:
    write(tmp_path / "Train_Pavia.h5", arrays("pavia", count=12))
    write(tmp_path / "Test_Pavia.h5", arrays("pavia"))
    dataset = datasets.open("pavia", root=tmp_path)
    assert (len(dataset.split("train")), len(dataset.split("valid"))) == (11, 1)
    np.testing.assert_array_equal(dataset.split("valid")[0].ms.numpy(), arrays("pavia", count=12)["MS"][11:].astype(np.float32))
    assert any("last 1 of 12 training patches" in notice for notice in dataset.notices)


def test_a_real_pair_without_ground_truth_is_the_full_split(tmp_path: Path) -> None:
    content = arrays("fr1")
    del content["GT"], content["LMS"]
    write(tmp_path / "Test_FR1.h5", content)
    dataset = datasets.open("fr1", root=tmp_path)
    assert (len(dataset.split("reduced")), len(dataset.split("full"))) == (0, 2)
    scene = dataset.split("full")[0]
    torch.testing.assert_close(scene.lms, interp23(scene.ms, 6))
    assert any("no LMS" in notice for notice in dataset.notices)


@pytest.mark.parametrize(("key", "bands", "what"), [("pavia", 93, "eight 256x256 crops"), ("pavia", 103, "Pavia University")])
def test_other_cubes_of_the_same_name_are_refused(tmp_path: Path, key: str, bands: int, what: str) -> None:
    image = np.ones((1, bands, 4, 4))
    write(tmp_path / f"Test_{FILES[key]}.h5", {"MS": image, "GT": np.ones((1, bands, 16, 16)), "PAN": np.ones((1, 1, 16, 16))})
    with pytest.raises(DatasetError, match=what):
        datasets.open(key, root=tmp_path)


@pytest.mark.parametrize("broken", ["axes", "nan", "missing", "page", "truncated"])
def test_broken_files_are_named(tmp_path: Path, broken: str) -> None:
    path, content = tmp_path / "Test_FR1.h5", arrays("fr1")
    if broken == "axes":
        content["GT"] = content["GT"].transpose(0, 2, 3, 1)
    if broken == "nan":
        content["MS"][0, 0, 0, 0] = np.nan
    if broken == "missing":
        del content["PAN"]
    write(path, content)
    if broken == "page":
        path.write_bytes(b"<!DOCTYPE html><html></html>")
    if broken == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    expected = {"axes": "order of axes", "nan": "NaN", "missing": "missing: pan", "page": "web page", "truncated": "truncated"}
    with pytest.raises(DatasetError, match=expected[broken]):
        datasets.open("fr1", root=tmp_path)


@pytest.mark.parametrize("place", ["train_wdc.H5", "WDC/Train_WDC.h5", "HyperPanCollection/Train_WDC.h5", "wdc/Train_WDC.h5"])
def test_case_and_folders_do_not_matter(tmp_path: Path, place: str) -> None:
    write(tmp_path / place, {"MS": np.ones(1)})
    assert WashingtonDC.find_files(tmp_path) == {"train": tmp_path / place}


def test_missing_files_fall_back_to_the_twin_and_say_so(tmp_path: Path) -> None:
    twin = datasets.open("wdc", root=tmp_path, cache=tmp_path)
    assert (twin.source, twin.task, twin.sensor) == ("simulated", "hs", sensors.get("wdc"))
    assert "SIMULATED" in twin.notices[0]
    assert any("smaller than the published set" in notice for notice in twin.notices)
    with pytest.raises(DatasetError, match=r"Test_WDC\.h5.*github"):
        datasets.open("wdc", root=tmp_path, source="published")
    with pytest.raises(DatasetError, match="auto, published or simulated"):
        datasets.open("wdc", root=tmp_path, source="web")


def test_the_verb_data_lists_files_and_where_they_come_from(tmp_path: Path) -> None:
    lines, sound = check_data("botswana", tmp_path)
    text = "\n".join(lines)
    assert not sound
    assert "Train_Botswana.h5" in text
    assert "MISSING" in text
    assert "github.com/liangjiandeng/HyperPanCollection" in text
    write_all(tmp_path, "botswana")
    lines, sound = check_data("botswana", tmp_path)
    assert sound
    assert any("PAN regressed" in line for line in lines)


def test_weights_and_range_of_made_up_images() -> None:
    gt = smooth_noise(1, 40, 32, seed=1)
    model = model_pan(gt, 2 * gt[:, 4:8].sum(1, keepdim=True))
    assert model.bands() == (4, 7)
    assert model.explained == pytest.approx(1)
    assert model.weights.sum() == pytest.approx(8, rel=1e-3)
    assert detect_values(1.0).factor == detect_values(2.3).factor == 10000
    assert (detect_values(255).bits, detect_values(5437).bits, detect_values(65535).bits) == (8, 13, 16)


@pytest.fixture(scope="module")
def cube_twin(tmp_path_factory: pytest.TempPathFactory) -> SimulatedTwin:
    return SimulatedTwin("fr1", cache=tmp_path_factory.mktemp("cache"))


def test_the_twin_of_ratio_six_obeys_walds_protocol(cube_twin: SimulatedTwin) -> None:
    scene, truth = cube_twin.split("full")[0], cube_twin.split("full").truth(0)
    assert (tuple(scene.ms.shape), tuple(scene.guide.shape)) == ((1, 69, 40, 40), (1, 1, 240, 240))
    seen = mtf(truth, cube_twin.sensor, step=6)
    assert np.corrcoef(seen.flatten(), scene.ms.flatten())[0, 1] > 0.99
    assert (truth - scene.lms).std() > 2 * (seen - scene.ms).std()
    assert torch.equal(scene.ms, scene.ms.round())
    assert float(scene.ms.amax()) <= cube_twin.sensor.scale


def test_the_twin_shows_leaves_and_water_vapour(monkeypatch: pytest.MonkeyPatch) -> None:
    from waldbench.datasets.simulated import infrared, spectrometer

    wdc = sensors.get("wdc")
    leaf = spectrometer.responses(wdc)[:-1] @ infrared.wide_spectra()[infrared.NAMES.index("lawn")]
    near = {nm: leaf[int(np.argmin(np.abs(np.array(wdc.centres) - nm)))] for nm in (550, 670, 860, 1450, 1650, 2200)}
    assert near[550] > near[670]
    assert near[860] > 4 * near[670]
    assert near[1450] < near[1650] < near[860]
    assert not any(1345 < centre < 1432 or 1825 < centre < 1900 for centre in wdc.centres)
    assert spectrometer.sunlight()[np.abs(infrared.GRID - 1385).argmin()] < 0.02


def test_the_materials_keep_their_visible_spectra() -> None:
    from waldbench.datasets.simulated import infrared
    from waldbench.datasets.simulated.materials import WAVELENGTHS, all_spectra

    assert sorted(name for names in infrared.MEMBERS.values() for name in names) == sorted(infrared.NAMES)
    wide = infrared.wide_spectra()
    common = np.isin(infrared.GRID, WAVELENGTHS)
    np.testing.assert_allclose(wide[:, common], all_spectra()[:, np.isin(WAVELENGTHS, infrared.GRID)], atol=1e-9)
    assert 0 < wide.min() < wide.max() < 1


def test_the_plan_of_every_cube_twin() -> None:
    for key, bands in (("wdc", 191), ("pavia", 102), ("botswana", 145), ("fr1", 69)):
        twin = SimulatedTwin(key)
        assert (twin.sensor.count, twin.task) == (bands, "hs")
        assert [len(twin.split(name)) for name in ("train", "valid", "reduced", "full")] == [144, 18, 4, 2]
