"""HyperPanCollection: Washington DC Mall, Pavia Center, Botswana, FR1 (Deng et al., github.com/liangjiandeng/HyperPanCollection).

The files are downloaded by hand (`run_bench.py data wdc` says from where): HDF5, arrays GT, LMS, MS, PAN of N x C x H x W.
What the collection does not document (range of the values, how PAN was made, sizes of some parts) is measured when the files
are opened and reported in `notices`. The usual loader opens them for writing; here they are only read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from waldbench.datasets.alignment import shifts
from waldbench.datasets.base import DatasetError, Split, register
from waldbench.datasets.cube_statistics import MINIMUM_EXPLAINED, PanModel, Values, detect_values, model_pan
from waldbench.datasets.hdf5 import ImageFile, check_images
from waldbench.datasets.image_ranges import expect_one_range
from waldbench.datasets.published import HDF5Dataset, PublishedFile, spread
from waldbench.datasets.splits import FileSplit
from waldbench.imaging import Scene, interp23
from waldbench.imaging.filters import mtf

# Images of a file that are measured when it is opened.
SAMPLED = 8
# Share of the training patches that are used for validation where there is no validation file.
VALID_SHARE = 0.1


def files_of(name: str) -> tuple[PublishedFile, ...]:
    """The published files of one cube: the names of WDC and Pavia are known, the others follow their pattern (inferred)."""
    return (
        PublishedFile("train", (f"Train_{name}.h5",)),
        PublishedFile("valid", (f"Valid_{name}.h5",), optional=True),
        PublishedFile("test", (f"Test_{name}.h5",)),
        PublishedFile("full", (f"Test_{name}_FR.h5", f"Test_{name}_OrigScale.h5"), optional=True),
    )


class HyperPan(HDF5Dataset):
    """Published files of one cube; splits whose file is missing are empty.

    Args:
        root: folder of the files; None: see `datasets.open`.

    Attributes:
        other_cubes: cubes of the same place that circulate under the same name, by their number of bands.
        pan_weights: weight of every band in PAN, by regression; empty where no file has a ground truth.

    Raises:
        DatasetError: if the test file is missing, or any file that is there is broken or of another cube.
    """

    task = "hs"
    test_role = "test"
    download = "https://github.com/liangjiandeng/HyperPanCollection"
    # Opening the files measures how they were made; no scores of plain interpolation were published.
    interpolation_indices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    other_cubes: ClassVar[Mapping[int, str]] = {}
    pan_weights: tuple[float, ...] = ()

    @classmethod
    def open_file(cls, role: str, path: Path) -> ImageFile:
        """Open and check one published file.

        Raises:
            DatasetError: if it is broken, mixes fractions and digital numbers, or holds another cube of the same name.
        """
        sensor = cls.published_sensor()
        file = ImageFile(path)
        bands = file.shapes["ms"][1] if len(file.shapes.get("ms", ())) == 4 else sensor.count
        if bands in cls.other_cubes:
            raise DatasetError(
                f"{path}: {cls.other_cubes[bands]}; expected {sensor.count} bands of HyperPanCollection, from {cls.download}"
            )
        names = [name for name in ("ms", "lms", "gt") if name in file.shapes or name == "ms"]
        check_images(file, dict.fromkeys(names, sensor.count) | {"pan": 1}, sensor.ratio)
        expect_one_range(file)
        return file

    def read_files(self, files: dict[str, ImageFile]) -> Mapping[str, Split]:
        """Return the splits in digital numbers; what was measured goes to `notices`."""
        values = self._values(files)
        self.sensor = values.apply(self.sensor)
        splits = self._build(files, values.factor)
        self._measure(splits)
        return splits

    def _values(self, files: dict[str, ImageFile]) -> Values:
        """Detect the range of the values, which must be the same in all files."""
        found = {}
        for role, file in files.items():
            sample = file.read("ms", spread(file.shapes["ms"][0], SAMPLED))
            found[role] = detect_values(float(sample.max()))
            if float(sample.min()) < 0:
                self.notices.append(f"{role}: ms has negative values, down to {float(sample.min()):.4g}")
        if len({values.factor for values in found.values()}) > 1:
            ranges = ", ".join(f"{role} reaches {values.highest:.4g}" for role, values in found.items())
            raise DatasetError(
                f"{self.key}: the files differ in the range of their values ({ranges}): fractions beside digital numbers; "
                "use the files of one release"
            )
        values = max(found.values(), key=lambda values: values.highest)
        self.notices.append(f"{values.describe()} (the collection does not document its range)")
        return values

    def _build(self, files: dict[str, ImageFile], factor: float) -> dict[str, Split]:
        def part(file: ImageFile, name: str, start: int, stop: int) -> FileSplit:
            return FileSplit(file, f"{self.key}-{name}", self.sensor.ratio, factor, start, stop)

        counts = {role: int(file.shapes["ms"][0]) for role, file in files.items()}
        splits: dict[str, Split] = {
            role: part(files[role], role, 0, counts[role]) for role in ("train", "valid") if role in files
        }
        if "train" in files and "valid" not in files:
            kept = counts["train"] - max(round(VALID_SHARE * counts["train"]), 1)
            if kept:
                splits["train"] = part(files["train"], "train", 0, kept)
                splits["valid"] = part(files["train"], "valid", kept, counts["train"])
                self.notices.append(
                    f"no validation file: the last {counts['train'] - kept} of {counts['train']} training patches validate "
                    "(they may overlap with others)"
                )
        for role in ("test", "full"):
            if role in files:
                name = "reduced" if "gt" in files[role].shapes else "full"
                splits[name] = part(files[role], name, 0, counts[role])
        self._tell_missing(files, splits)
        return splits

    def _tell_missing(self, files: dict[str, ImageFile], splits: dict[str, Split]) -> None:
        if "train" not in files:
            self.notices.append(f"train: {self.files[0].names[0]} not found; this split is empty")
        if "reduced" not in splits:
            self.notices.append("reduced: the test file has no GT; it is tested without reference")
        for role, file in files.items():
            if "lms" not in file.shapes:
                self.notices.append(f"{role}: the file has no LMS; computed from MS with the 23-tap interpolation")

    def _measure(self, splits: dict[str, Split]) -> None:
        """Measure on one file how ms, lms and PAN follow from gt, and add the results to `notices`."""
        split = next((splits[name] for name in ("train", "reduced") if name in splits), None)
        if split is None:
            return
        scene = split[spread(len(split), SAMPLED)]
        if scene.gt is None:
            return
        model = model_pan(scene.gt, scene.guide)
        self.pan_weights = tuple(model.weights.tolist())
        self.notices.append(model.describe(self.sensor))
        self._use_range(model)
        self.notices += [_interpolation(scene), *self._degradation(scene)]

    def _use_range(self, model: PanModel) -> None:
        if model.explained >= MINIMUM_EXPLAINED:
            self.sensor = replace(self.sensor, pan=model.range_of(self.sensor))
        else:
            low, high = self.sensor.pan
            self.notices.append(f"PAN is no sum of the bands; its range is taken as {low:.0f}-{high:.0f} nm")

    def _degradation(self, scene: Scene) -> list[str]:
        assert scene.gt is not None
        inner = (..., slice(2, -2), slice(2, -2))
        again = mtf(scene.gt, self.sensor, step=self.sensor.ratio)[inner]
        error = float((again - scene.ms[inner]).square().mean().sqrt() / scene.ms.mean().abs())
        lines = [
            f"MS differs from the ground truth through an MTF of 0.3 and decimation by {error:.2%} of its mean (root mean square)"
        ]
        moved = [shift for shift in shifts(scene.ms, scene.gt, self.sensor) if shift != (0, 0)]
        if moved:
            lines.append(
                f"MS is shifted against GT in {len(moved)} of {len(scene)} images looked at, first by {moved[0]} PAN pixels"
            )
        return lines


def _interpolation(scene: Scene) -> str:
    error = float((interp23(scene.ms, scene.ratio) - scene.lms).abs().max() / scene.ms.abs().max())
    return f"LMS differs from the 23-tap interpolation of MS by at most {error:.2%} of the highest value"


@register("wdc", task="hs", sensor="wdc", title="HyperPanCollection Washington DC Mall")
class WashingtonDC(HyperPan):
    """191 bands (HYDICE), ratio 4; about 1,024 training and validation patches of 64x64, 4 test images of 128x128."""

    key = "wdc"
    files = files_of("WDC")
    other_cubes: ClassVar[Mapping[int, str]] = {210: "210 bands: the uncut scene, opaque bands included"}


@register("pavia", task="hs", sensor="pavia", title="HyperPanCollection Pavia Center")
class PaviaCenter(HyperPan):
    """102 bands (ROSIS), ratio 4; about 1,700 training and validation patches of 64x64, 2 test images of 400x400."""

    key = "pavia"
    files = files_of("Pavia")
    other_cubes: ClassVar[Mapping[int, str]] = {
        93: "93 bands: the cut of Pavia Center that other papers use (eight 256x256 crops); results must not be compared",
        103: "103 bands: Pavia University, another scene",
    }


@register("botswana", task="hs", sensor="botswana", title="HyperPanCollection Botswana")
class Botswana(HyperPan):
    """145 bands (Hyperion), ratio 4; about 890 training and validation patches of 64x64, 4 test images of 128x128."""

    key = "botswana"
    files = files_of("Botswana")
    other_cubes: ClassVar[Mapping[int, str]] = {242: "242 bands: the uncut scene, opaque bands included"}


@register("fr1", task="hs", sensor="fr1", title="HyperPanCollection FR1 (PRISMA)")
class FR1(HyperPan):
    """69 bands (PRISMA, WHISPERS 2022 challenge), ratio 6; real PAN of 240x240, with training pairs of reduced resolution."""

    key = "fr1"
    files = files_of("FR1")
