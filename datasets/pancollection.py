"""PanCollection: WorldView-3, WorldView-2, QuickBird and GaoFen-2 (Deng et al., IEEE GRSM 10(3), 2022).

doi 10.1109/MGRS.2022.3187652. The files are downloaded by hand (`run_bench.py data wv3` says from where) and read as they are
published: HDF5, arrays gt, ms, lms, pan of N x C x H x W in digital numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from waldbench.datasets.alignment import shifts
from waldbench.datasets.base import Split, register
from waldbench.datasets.hdf5 import ImageFile, check_images
from waldbench.datasets.image_ranges import expect_digital_numbers, measure
from waldbench.datasets.published import HDF5Dataset, PublishedFile, PublishedScores, spread
from waldbench.datasets.splits import FileSplit
from waldbench.imaging import Sensor

# Patches of a training file that are checked for a shift between ms and gt.
SAMPLED = 64


def files_of(key: str, train: int, valid: int | None, test_only: bool = False) -> tuple[PublishedFile, ...]:
    """The published files of one sensor.

    Args:
        key: registry key of the dataset.
        train: number of training patches; the mirror's names of both patch files carry it.
        valid: number of validation patches; None where it is not known.
        test_only: whether the collection was released with test files only.
    """
    patches = (
        PublishedFile(split, (f"{split}_{key}.h5", f"{split}_{key}_{train}.h5"), count, optional=test_only)
        for split, count in (("train", train), ("valid", valid))
    )
    tests = {"reduced": f"test_{key}_multiExm1.h5", "full": f"test_{key}_OrigScale_multiExm1.h5"}
    return (*patches, *(PublishedFile(split, (name,), 20) for split, name in tests.items()))


class PanCollection(HDF5Dataset):
    """Published files of one sensor; splits whose file is missing are empty.

    Args:
        root: folder of the files; None: see `datasets.open`.

    Attributes:
        known_defects: what a user must know of a file of the collection, by role.

    Raises:
        DatasetError: if the reduced-resolution test file is missing, or any file that is there is broken.
    """

    task = "ms"
    download = "the links on https://github.com/liangjiandeng/PanCollection"
    mirrors = ("elsting/PanCollection on Hugging Face (folders training_data and test_data)",)
    known_defects: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def open_file(cls, role: str, path: Path) -> ImageFile:
        """Open and check one published file.

        Raises:
            DatasetError: if it is broken, belongs to another sensor or does not hold digital numbers.
        """
        sensor = cls.published_sensor()
        file = ImageFile(path)
        bands = {"ms": sensor.count, "pan": 1}
        bands |= {} if role == "full" else {"gt": sensor.count}
        bands |= {"lms": sensor.count} if "lms" in file.shapes else {}
        check_images(file, bands, sensor.ratio)
        expect_digital_numbers(file, sensor.bits)
        return file

    def read_files(self, files: dict[str, ImageFile]) -> Mapping[str, Split]:
        """Return one split a file, and add to `notices` what is wrong with them."""
        splits = {role: FileSplit(file, f"{self.key}-{role}", self.sensor.ratio) for role, file in files.items()}
        self.notices += [line for file in self.files for line in self._notices(file, splits.get(file.role))]
        return splits

    def _notices(self, file: PublishedFile, split: FileSplit | None) -> list[str]:
        if split is None:
            return [] if file.optional else [f"{file.role}: {' or '.join(file.names)} not found; this split is empty"]
        lines = range_notice(split, file.role, self.sensor)
        if file.images is not None and len(split) != file.images:
            lines.append(f"{file.role}: {len(split)} images; the published file has {file.images}")
        if "lms" not in split.file.shapes:
            lines.append(f"{file.role}: the file has no 'lms'; computed from 'ms' with the 23-tap interpolation")
        if file.role in {"train", "valid"}:
            lines += shift_notice(split, file.role, self.sensor)
        return [*lines, self.known_defects[file.role]] if file.role in self.known_defects else lines


def range_notice(split: FileSplit, name: str, sensor: Sensor) -> list[str]:
    """A line for each of `ms`, `gt` and `pan` (which no interpolation makes overshoot) that exceeds the sensor's scale."""
    measured = measure(split.file)
    return [
        f"{name}: {array} reaches {measured[array].highest:g}, more than the {sensor.bits} bits (scale {sensor.scale:g}) of "
        f"{sensor.title}; is it a file of another sensor?"
        for array in ("ms", "gt", "pan")
        if array in measured and measured[array].highest > sensor.scale
    ]


def shift_notice(split: FileSplit, name: str, sensor: Sensor) -> list[str]:
    """A line if `ms` is shifted against `gt` in more than 5 % of a sample of patches, else nothing."""
    sample = split[spread(len(split), SAMPLED)]
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
    files = files_of(key, 9714, 1080)
    known_defects: ClassVar[Mapping[str, str]] = {
        "full": "full: the published .h5 and .mat test scenes of WorldView-3 differ (6 of 20 coincide) and published HQNR tables "
        "belong to the .mat ones; `run_bench.py data wv3` tells which this file holds"
    }
    interpolation_scores: ClassVar[Mapping[str, tuple[PublishedScores, ...]]] = {
        "reduced": (PublishedScores({"sam": 5.800, "ergas": 7.155, "q2n": 0.627}),),
        "full": (
            PublishedScores(
                {"d_lambda_k": 0.0232, "d_s": 0.0813, "hqnr": 0.8975}, "the .mat scenes: the ones of the published HQNR tables"
            ),
            PublishedScores(
                {"d_lambda_k": 0.0456, "d_s": 0.1201, "hqnr": 0.840},
                "the .h5 scenes: harder than the .mat ones; do NOT compare with published HQNR tables",
            ),
        ),
    }


@register("wv2", task="ms", sensor="wv2", title="PanCollection WorldView-2")
class WorldView2(PanCollection):
    """8 bands, 11 bits; 20 reduced and 20 full test images, to try networks of WorldView-3 on another sensor."""

    key = "wv2"
    # Released with test files only; one mirror adds 15,084 patches.
    files = files_of(key, 15084, None, test_only=True)


@register("qb", task="ms", sensor="qb", title="PanCollection QuickBird")
class QuickBird(PanCollection):
    """4 bands, 11 bits; 17,139 training and 1,905 validation patches of 64x64, 20 reduced and 20 full test images."""

    key = "qb"
    files = files_of(key, 17139, 1905)
    interpolation_scores: ClassVar[Mapping[str, tuple[PublishedScores, ...]]] = {
        "reduced": (PublishedScores({"sam": 8.435, "ergas": 11.819, "q2n": 0.584}),)
    }


@register("gf2", task="ms", sensor="gf2", title="PanCollection GaoFen-2")
class GaoFen2(PanCollection):
    """4 bands, 10 bits; 19,809 training and 2,201 validation patches of 64x64, 20 reduced and 20 full test images."""

    key = "gf2"
    files = files_of(key, 19809, 2201)
    interpolation_scores: ClassVar[Mapping[str, tuple[PublishedScores, ...]]] = {
        "reduced": (PublishedScores({"sam": 1.820, "ergas": 2.366, "q2n": 0.812}),),
        "full": (PublishedScores({"d_lambda_k": 0.0180, "d_s": 0.0957, "hqnr": 0.888}),),
    }
