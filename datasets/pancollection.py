"""PanCollection: WorldView-3, WorldView-2, QuickBird and GaoFen-2 (Deng et al., IEEE GRSM 10(3), 2022).

doi 10.1109/MGRS.2022.3187652. The files are downloaded by hand (`run_bench.py data wv3` says from where) and read as they are
published: HDF5, arrays gt, ms, lms, pan of N x C x H x W in digital numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waldbench.datasets.alignment import shifts
from waldbench.datasets.base import Dataset, DatasetError, DatasetNotFoundError, Split, register
from waldbench.datasets.data_roots import find
from waldbench.datasets.hdf5 import ImageFile, check_images, fingerprint
from waldbench.datasets.sources import choose, not_found
from waldbench.datasets.splits import EmptySplit
from waldbench.imaging import Scene, interp23, sensors

SOURCE = "the links on https://github.com/liangjiandeng/PanCollection"
# Patches of a training file that are checked for a shift between ms and gt.
SAMPLED = 64


@dataclass(frozen=True)
class Expected:
    """A published file: its split, its spellings, and the number of images in it (None: not known)."""

    split: str
    names: tuple[str, ...]
    images: int | None
    optional: bool = False


# Training and validation images of the release; both patch files of a mirror carry the number of training images in their
# names. WorldView-2 was released with test files only (to try networks of WorldView-3 on it); one mirror adds 15,084 patches.
COUNTS = {"wv3": (9714, 1080), "wv2": (15084, None), "qb": (17139, 1905), "gf2": (19809, 2201)}
TEST_ONLY = {"wv2"}
WV3_FULL = (
    "full: the published .h5 and .mat test scenes of WorldView-3 differ (6 of 20 coincide) and published HQNR tables belong to "
    "the .mat ones; `run_bench.py data wv3` tells which this file holds"
)


def expected_files(key: str) -> list[Expected]:
    """The published files of one sensor, in the order of the splits."""
    train, valid = COUNTS[key]
    patches = [
        Expected(split, (f"{split}_{key}.h5", f"{split}_{key}_{train}.h5"), count, optional=key in TEST_ONLY)
        for split, count in (("train", train), ("valid", valid))
    ]
    tests = {"reduced": f"test_{key}_multiExm1.h5", "full": f"test_{key}_OrigScale_multiExm1.h5"}
    return [*patches, *(Expected(split, (name,), 20) for split, name in tests.items())]


def locate(key: str, root: Path | None) -> dict[str, Path]:
    """The published files that are there, by split."""
    found = {file.split: find(file.names, root, key) for file in expected_files(key)}
    return {split: path for split, path in found.items() if path is not None}


class PublishedSplit(Split):
    """Images of one published file."""

    def __init__(self, file: ImageFile, name: str, ratio: int) -> None:
        self.file, self.name, self.ratio = file, name, ratio

    def __len__(self) -> int:
        return int(self.file.shapes["ms"][0])

    def read(self, indices: Sequence[int]) -> Scene:
        """Read images as one batch; lms comes from the file, or from ms where the file has none."""
        images = {name: self.file.read(name, indices) for name in ("ms", "lms", "pan", "gt") if name in self.file.shapes}
        lms = images.get("lms")
        if lms is None:
            lms = interp23(images["ms"], self.ratio)
        return Scene(images["ms"], lms, images["pan"], images.get("gt"), tuple(f"{self.name}-{i:02d}" for i in indices))


class PanCollection(Dataset):
    """Published files of one sensor; splits whose file is missing are empty.

    Args:
        root: folder of the files; None: see `datasets.open`.

    Raises:
        DatasetError: if the reduced-resolution test file is missing, or any file that is there is broken.
    """

    task = "ms"
    source = "published"

    def __init__(self, root: Path | None = None) -> None:
        self.sensor = sensors.get(self.key)
        paths = locate(self.key, root)
        if "reduced" not in paths:
            expected = f"at least {expected_files(self.key)[-2].names[0]}"
            raise DatasetNotFoundError(not_found(self.key, root, expected, SOURCE))
        self.fingerprint = fingerprint(paths)
        self._splits = {split: open_split(self.key, split, path) for split, path in paths.items()}
        self.notices = [line for file in expected_files(self.key) for line in self._notices(file)]

    @classmethod
    def open(cls, root: Path | None = None, source: str = "auto", **options: Any) -> Dataset:
        """Open the published files or the simulated twin; arguments as in `datasets.open`, options (`seed`, `cache`) of the twin.

        Raises:
            DatasetError: for missing or broken files, or an unknown source.
        """
        from waldbench.datasets.simulated import SimulatedTwin

        key = cls.key
        return choose(
            key, root, source, lambda: "reduced" in locate(key, root), lambda: cls(root), lambda: SimulatedTwin(key, **options)
        )

    def split(self, name: str) -> Split:
        """Return a split; an empty one where its file is missing."""
        self.check_split(name)
        return self._splits.get(name) or EmptySplit(f"no file for '{name}' of {self.key}")

    def _notices(self, file: Expected) -> list[str]:
        split = self._splits.get(file.split)
        if split is None:
            return [] if file.optional else [f"{file.split}: {' or '.join(file.names)} not found; this split is empty"]
        lines = range_notice(split, file.split, self.sensor)
        if file.images is not None and len(split) != file.images:
            lines.append(f"{file.split}: {len(split)} images; the published file has {file.images}")
        if "lms" not in split.file.shapes:
            lines.append(f"{file.split}: the file has no 'lms'; computed from 'ms' with the 23-tap interpolation")
        if file.split in {"train", "valid"}:
            lines += shift_notice(split, file.split, self.sensor)
        return [*lines, WV3_FULL] if (self.key, file.split) == ("wv3", "full") else lines


def open_split(key: str, name: str, path: Path) -> PublishedSplit:
    """Open and check one published file.

    Raises:
        DatasetError: if it is broken, belongs to another sensor or does not hold digital numbers.
    """
    sensor = sensors.get(key)
    file = ImageFile(path)
    bands = {"ms": sensor.count, "pan": 1}
    bands |= {} if name == "full" else {"gt": sensor.count}
    bands |= {"lms": sensor.count} if "lms" in file.shapes else {}
    count = check_images(file, bands, sensor.ratio)
    highest = _highest(file, count)
    if highest <= 1.5:
        raise DatasetError(
            f"{path}: 'ms' reaches {highest:g} only; expected digital numbers of {sensor.bits} bits, 0 to {sensor.scale:g}; "
            "use the published file as it is, not divided by the scale"
        )
    return PublishedSplit(file, f"{key}-{name}", sensor.ratio)


def _highest(file: ImageFile, count: int) -> float:
    return float(file.read("ms", sorted({0, count // 2, count - 1})).max())


def range_notice(split: PublishedSplit, name: str, sensor: sensors.Sensor) -> list[str]:
    """A line if `ms` (which no interpolation makes overshoot) exceeds the sensor's scale, else nothing."""
    highest = _highest(split.file, len(split))
    if highest <= sensor.scale:
        return []
    return [
        f"{name}: ms reaches {highest:g}, more than the {sensor.bits} bits (scale {sensor.scale:g}) of {sensor.title}; "
        "is it a file of another sensor?"
    ]


def shift_notice(split: PublishedSplit, name: str, sensor: sensors.Sensor) -> list[str]:
    """A line if `ms` is shifted against `gt` in more than 5 % of a sample of patches, else nothing."""
    count = len(split)
    sample = split[sorted({i * count // SAMPLED for i in range(SAMPLED)})]
    if sample.gt is None:
        return []
    found = shifts(sample.ms, sample.gt, sensor)
    moved = Counter(shift for shift in found if shift != (0, 0))
    if moved.total() <= 0.05 * len(found):
        return []
    return [
        f"{name}: ms is shifted against gt in {moved.total() / len(found):.0%} of {len(found)} sampled patches, most often by "
        f"{moved.most_common(1)[0][0]} PAN pixels (down, right); a known defect of the published QuickBird patches, which "
        "networks learn; test files are not affected"
    ]


@register("wv3", task="ms", sensor="wv3", title="PanCollection WorldView-3")
class WorldView3(PanCollection):
    """8 bands, 11 bits; 9,714 training and 1,080 validation patches of 64x64, 20 reduced and 20 full test images."""

    key = "wv3"


@register("wv2", task="ms", sensor="wv2", title="PanCollection WorldView-2")
class WorldView2(PanCollection):
    """8 bands, 11 bits; 20 reduced and 20 full test images, to try networks of WorldView-3 on another sensor."""

    key = "wv2"


@register("qb", task="ms", sensor="qb", title="PanCollection QuickBird")
class QuickBird(PanCollection):
    """4 bands, 11 bits; 17,139 training and 1,905 validation patches of 64x64, 20 reduced and 20 full test images."""

    key = "qb"


@register("gf2", task="ms", sensor="gf2", title="PanCollection GaoFen-2")
class GaoFen2(PanCollection):
    """4 bands, 10 bits; 19,809 training and 2,201 validation patches of 64x64, 20 reduced and 20 full test images."""

    key = "gf2"
