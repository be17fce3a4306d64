"""HyperPanCollection: Washington DC Mall, Pavia Center, Botswana, FR1 (Deng et al., github.com/liangjiandeng/HyperPanCollection).

The files are downloaded by hand (`run_bench.py data wdc` says from where): HDF5, arrays GT, LMS, MS, PAN of N x C x H x W.
What the collection does not document (range of the values, how PAN was made, sizes of some parts) is measured when the files
are opened and told in the notices. The widespread loader opens them writable; here they are only read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from waldbench.datasets.alignment import shifts
from waldbench.datasets.base import Dataset, DatasetError, DatasetNotFoundError, Split, register
from waldbench.datasets.cube_statistics import BELIEVED, PanModel, Values, detect_values, model_pan
from waldbench.datasets.data_roots import find
from waldbench.datasets.hdf5 import ImageFile, check_images, fingerprint
from waldbench.datasets.sources import choose, not_found
from waldbench.datasets.splits import EmptySplit
from waldbench.imaging import Scene, interp23, sensors
from waldbench.imaging.filters import mtf

SOURCE = "https://github.com/liangjiandeng/HyperPanCollection"
# Images of a file that are looked at when it is opened.
SAMPLED = 8
# Share of the training patches that serves for validation where no such file is there.
VALID_SHARE = 0.1
# Cubes of the same places with other numbers of bands, which circulate under the same names.
OTHERS = {
    ("pavia", 93): "93 bands: the cut of Pavia Center that other papers use (eight 256x256 crops); results must not be compared",
    ("pavia", 103): "103 bands: Pavia University, another scene",
    ("wdc", 210): "210 bands: the uncut scene, opaque bands included",
    ("botswana", 242): "242 bands: the uncut scene, opaque bands included",
}


class Expected(NamedTuple):
    """A published file: its role and its spellings (case does not matter)."""

    role: str
    names: tuple[str, ...]
    optional: bool = False


def expected_files(key: str) -> list[Expected]:
    """The published files: the names of WDC and Pavia are known, the others follow their pattern (inferred)."""
    name = {"wdc": "WDC", "pavia": "Pavia", "botswana": "Botswana", "fr1": "FR1"}[key]
    return [
        Expected("train", (f"Train_{name}.h5",)),
        Expected("valid", (f"Valid_{name}.h5",), optional=True),
        Expected("test", (f"Test_{name}.h5",)),
        Expected("full", (f"Test_{name}_FR.h5", f"Test_{name}_OrigScale.h5"), optional=True),
    ]


def locate(key: str, root: Path | None) -> dict[str, Path]:
    """The published files that are there, by role."""
    found = {file.role: find(file.names, root, key) for file in expected_files(key)}
    return {role: path for role, path in found.items() if path is not None}


class CubeSplit(Split):
    """Images start..stop-1 of one file, multiplied by the factor that makes digital numbers of them."""

    def __init__(self, file: ImageFile, name: str, ratio: int, factor: float, start: int, stop: int) -> None:
        self.file, self.name, self.ratio, self.factor = file, name, ratio, factor
        self.start, self.stop = start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, indices: Sequence[int]) -> Scene:
        """Read images as one batch; lms comes from the file, or from ms where the file has none."""
        chosen = [self.start + index for index in indices]
        images = {name: self.file.read(name, chosen) for name in ("ms", "lms", "pan", "gt") if name in self.file.shapes}
        if self.factor != 1:
            images = {name: image * self.factor for name, image in images.items()}
        lms = images["lms"] if "lms" in images else interp23(images["ms"], self.ratio)
        return Scene(images["ms"], lms, images["pan"], images.get("gt"), tuple(f"{self.name}-{i:02d}" for i in indices))


class HyperPan(Dataset):
    """Published files of one cube; splits whose file is missing are empty.

    Args:
        root: folder of the files; None: see `datasets.open`.

    Attributes:
        pan_weights: weight of every band in PAN, by regression; empty where no file has a ground truth.

    Raises:
        DatasetError: if the test file is missing, or any file that is there is broken or of another cube.
    """

    task = "hs"
    source = "published"
    key: str

    def __init__(self, root: Path | None = None) -> None:
        paths = locate(self.key, root)
        if "test" not in paths:
            expected = f"at least {expected_files(self.key)[2].names[0]}"
            raise DatasetNotFoundError(not_found(self.key, root, expected, SOURCE))
        self.fingerprint = fingerprint(paths)
        self.sensor = sensors.get(self.key)
        self.notices = []
        files = {role: self._open(path) for role, path in paths.items()}
        values = self._values(files)
        self.sensor = values.apply(self.sensor)
        self._splits = self._build(files, values.factor)
        self.pan_weights: tuple[float, ...] = ()
        self._measure()

    @classmethod
    def open(cls, root: Path | None = None, source: str = "auto", **options: Any) -> Dataset:
        """Open the published files or the simulated twin; arguments as in `datasets.open`, options (`seed`, `cache`) of the twin.

        Raises:
            DatasetError: for missing or broken files, or an unknown source.
        """
        from waldbench.datasets.simulated import SimulatedTwin

        key = cls.key
        return choose(
            key, root, source, lambda: "test" in locate(key, root), lambda: cls(root), lambda: SimulatedTwin(key, **options)
        )

    @classmethod
    def files(cls, root: Path | None = None) -> list[tuple[str, str, str]]:
        """Role, expected names and place (or that it is missing) of every published file."""
        found = locate(cls.key, root)
        return [
            (file.role, " or ".join(file.names), str(found.get(file.role, "optional, not found" if file.optional else "MISSING")))
            for file in expected_files(cls.key)
        ]

    def split(self, name: str) -> Split:
        """Return a split; an empty one where its file is missing."""
        self.check_split(name)
        return self._splits.get(name) or EmptySplit(f"no file for '{name}' of {self.key}")

    def _open(self, path: Path) -> ImageFile:
        file = ImageFile(path)
        bands = file.shapes["ms"][1] if len(file.shapes.get("ms", ())) == 4 else self.sensor.count
        if (self.key, bands) in OTHERS:
            raise DatasetError(
                f"{path}: {OTHERS[self.key, bands]}; expected {self.sensor.count} bands of HyperPanCollection, from {SOURCE}"
            )
        names = [name for name in ("ms", "lms", "gt") if name in file.shapes or name == "ms"]
        check_images(file, dict.fromkeys(names, self.sensor.count) | {"pan": 1}, self.sensor.ratio)
        return file

    def _values(self, files: dict[str, ImageFile]) -> Values:
        """The range of the values, one for all files."""
        found = {}
        for role, file in files.items():
            sample = file.read("ms", _sample(file.shapes["ms"][0]))
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
        def part(file: ImageFile, name: str, start: int, stop: int) -> CubeSplit:
            return CubeSplit(file, f"{self.key}-{name}", self.sensor.ratio, factor, start, stop)

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
            self.notices.append(f"train: {expected_files(self.key)[0].names[0]} not found; this split is empty")
        if "reduced" not in splits:
            self.notices.append("reduced: the test file has no GT; it is tested without reference")
        for role, file in files.items():
            if "lms" not in file.shapes:
                self.notices.append(f"{role}: the file has no LMS; computed from MS with the 23-tap interpolation")

    def _measure(self) -> None:
        """Measure on one file how ms, lms and PAN follow from gt, and say so."""
        split = next((self._splits[name] for name in ("train", "reduced") if name in self._splits), None)
        if split is None:
            return
        scene = split[_sample(len(split))]
        if scene.gt is None:
            return
        model = model_pan(scene.gt, scene.guide)
        self.pan_weights = tuple(model.weights.tolist())
        self.notices.append(model.describe(self.sensor))
        self._believe(model)
        self.notices += [_interpolation(scene), *self._degradation(scene)]

    def _believe(self, model: PanModel) -> None:
        if model.explained >= BELIEVED:
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


def _sample(count: int) -> list[int]:
    return sorted({i * count // SAMPLED for i in range(SAMPLED)})


def _interpolation(scene: Scene) -> str:
    error = float((interp23(scene.ms, scene.ratio) - scene.lms).abs().max() / scene.ms.abs().max())
    return f"LMS differs from the 23-tap interpolation of MS by at most {error:.2%} of the highest value"


@register("wdc", task="hs", sensor="wdc", title="HyperPanCollection Washington DC Mall")
class WashingtonDC(HyperPan):
    """191 bands (HYDICE), ratio 4; about 1,024 training and validation patches of 64x64, 4 test images of 128x128."""

    key = "wdc"


@register("pavia", task="hs", sensor="pavia", title="HyperPanCollection Pavia Center")
class PaviaCenter(HyperPan):
    """102 bands (ROSIS), ratio 4; about 1,700 training and validation patches of 64x64, 2 test images of 400x400."""

    key = "pavia"


@register("botswana", task="hs", sensor="botswana", title="HyperPanCollection Botswana")
class Botswana(HyperPan):
    """145 bands (Hyperion), ratio 4; about 890 training and validation patches of 64x64, 4 test images of 128x128."""

    key = "botswana"


@register("fr1", task="hs", sensor="fr1", title="HyperPanCollection FR1 (PRISMA)")
class FR1(HyperPan):
    """69 bands (PRISMA, WHISPERS 2022 challenge), ratio 6; real PAN of 240x240, with training pairs of reduced resolution."""

    key = "fr1"
