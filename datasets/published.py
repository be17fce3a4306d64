"""What published datasets share: the files that are expected, where they are searched, and the simulated twin in their place.

A published dataset is a subclass that says its files, links and published scores as class attributes. `run_bench.py data KEY`
reads these attributes: a new dataset is checked without any change elsewhere.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from waldbench.datasets.base import Dataset, DatasetError, DatasetNotFoundError, Split
from waldbench.datasets.data_roots import VARIABLE, find, roots
from waldbench.datasets.hdf5 import ImageFile, fingerprint
from waldbench.datasets.splits import EmptySplit, FileSplit
from waldbench.imaging import Sensor, sensors

SOURCES = ("auto", "published", "simulated")


class PublishedFile(NamedTuple):
    """One file of a published dataset.

    Attributes:
        role: what it is for; the name of its split where the two coincide.
        names: the spellings of its name; case does not matter.
        images: number of images in the published file; None where it is not known.
        optional: whether the dataset is complete without it.
    """

    role: str
    names: tuple[str, ...]
    images: int | None = None
    optional: bool = False


class PublishedScores(NamedTuple):
    """Published scores of plain interpolation (EXP) on the test images of one split.

    Attributes:
        means: mean over the images, by key of the index.
        meaning: what files with these scores are, for the line "these are ...".
        images: number of images over which the means were taken.
    """

    means: Mapping[str, float]
    meaning: str = "the published test images"
    images: int = 20


class PublishedDataset(Dataset):
    """A dataset that others published, and its simulated twin where the files are not there.

    Attributes:
        files: the published files, in the order in which they are listed; empty where they are too many to be named.
        test_role: role of the file without which nothing can be evaluated.
        download: where the files are downloaded by hand.
        mirrors: other places that have them.
        interpolation_indices: keys of the indices that `data KEY` computes of plain interpolation, by split; empty where opening
            the dataset measures everything that can be compared.
        interpolation_scores: the published values of these indices, by split; several where several releases circulate.
    """

    source = "published"
    files: ClassVar[tuple[PublishedFile, ...]] = ()
    test_role: ClassVar[str] = "reduced"
    download: ClassVar[str]
    mirrors: ClassVar[tuple[str, ...]] = ()
    interpolation_indices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    interpolation_scores: ClassVar[Mapping[str, tuple[PublishedScores, ...]]] = {}

    @abstractmethod
    def __init__(self, root: Path | None = None) -> None:
        """Open the published files in `root`; see `published`."""

    @classmethod
    def open(cls, root: Path | None = None, source: str = "auto", **options: Any) -> Dataset:
        """Open the published files where they are asked for or found, else the twin, with a warning if nobody asked for it.

        Args:
            root: folder of the published files; None: see `datasets.open`.
            source: "auto", "published" or "simulated".
            options: arguments of the twin (`seed`, `cache`).

        Raises:
            DatasetError: for missing or broken files, or an unknown source.
        """
        if source not in SOURCES:
            raise DatasetError(f"source: expected auto, published or simulated, got '{source}'")
        if source == "published" or (source == "auto" and cls.is_present(root)):
            return cls.published(root, **options)
        dataset = cls.twin(**options)
        if source == "auto":
            places = ", ".join(str(folder) for folder in roots(root))
            dataset.notices = [
                f"published files of {cls.key} not found in {places}: using the embedded SIMULATED twin; "
                f"run `run_bench.py data {cls.key}` to see which files are expected",
                *dataset.notices,
            ]
        return dataset

    @classmethod
    def published(cls, root: Path | None, **_options: Any) -> Self:
        """Open the published files; the options are the twin's and have no effect on them."""
        return cls(root)

    @classmethod
    def twin(cls, **options: Any) -> Dataset:
        """Open the simulated twin."""
        from waldbench.datasets.simulated import SimulatedTwin

        return SimulatedTwin(cls.key, **options)

    @classmethod
    def find_files(cls, root: Path | None) -> dict[str, Path]:
        """The published files that are there, by role."""
        found = {file.role: find(file.names, root, cls.key) for file in cls.files}
        return {role: path for role, path in found.items() if path is not None}

    @classmethod
    def is_present(cls, root: Path | None) -> bool:
        """Whether the test images are there."""
        return cls.test_role in cls.find_files(root)

    @classmethod
    def check_file(cls, role: str, path: Path) -> None:
        """Check one published file; nothing to do where opening the dataset checks all of them.

        Raises:
            DatasetError: if it is broken or of another dataset.
        """

    @classmethod
    def not_found(cls, root: Path | None, expected: str = "") -> DatasetNotFoundError:
        """The error for published files that are not there.

        Args:
            root: folder that was searched; None: the usual ones.
            expected: files that would be enough; empty: the test file.
        """
        places = ", ".join(f"root='{folder}'" for folder in roots(root))
        expected = expected or f"at least {next(file.names[0] for file in cls.files if file.role == cls.test_role)}"
        return DatasetNotFoundError(
            f"published files of {cls.key} not found in {places}: expected {expected}; either give another folder (--data-root, "
            f"or ${VARIABLE}), download the files by hand from {cls.download} (`run_bench.py data {cls.key}` checks them), "
            "or use source 'simulated'"
        )


class HDF5Dataset(PublishedDataset):
    """Published HDF5 files, each with the images of one role; splits whose file is missing are empty.

    Args:
        root: folder of the files; None: see `datasets.open`.

    Attributes:
        sensor_key: registry key of the sensor; empty: that of the dataset.

    Raises:
        DatasetError: if the test file is missing, or any file that is there is broken or of another dataset.
    """

    sensor_key: ClassVar[str] = ""
    interpolation_indices: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "reduced": ("sam", "ergas", "q2n"),
        "full": ("d_lambda_k", "d_s", "hqnr"),
    }

    def __init__(self, root: Path | None = None) -> None:
        self.sensor = self.published_sensor()
        paths = self.find_files(root)
        if self.test_role not in paths:
            raise self.not_found(root)
        self.fingerprint = fingerprint(paths)
        self.notices = []
        self._splits = self.read_files({role: self.open_file(role, path) for role, path in paths.items()})

    @classmethod
    def published_sensor(cls) -> Sensor:
        """The sensor as it is known without the files."""
        return sensors.get(cls.sensor_key or cls.key)

    @classmethod
    @abstractmethod
    def open_file(cls, role: str, path: Path) -> ImageFile:
        """Open one published file and check its arrays.

        Raises:
            DatasetError: if it is broken or of another dataset.
        """

    @abstractmethod
    def read_files(self, files: dict[str, ImageFile]) -> Mapping[str, Split]:
        """Return the splits of the files that are there, by name; what a user must know is added to `notices`."""

    @classmethod
    def check_file(cls, role: str, path: Path) -> None:
        """Open one published file and read its first and last image.

        Raises:
            DatasetError: if it is broken or of another dataset.
        """
        split = FileSplit(cls.open_file(role, path), role, cls.published_sensor().ratio)
        _ = split[0], split[-1]

    def split(self, name: str) -> Split:
        """Return a split; an empty one where its file is missing."""
        self.check_split(name)
        return self._splits.get(name) or EmptySplit(f"no file for '{name}' of {self.key}")


def spread(count: int, number: int) -> list[int]:
    """At most `number` indices, evenly spread over `count` images."""
    return sorted({i * count // number for i in range(number)})
