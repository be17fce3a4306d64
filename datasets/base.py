"""Base classes of datasets and their splits, and their errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from waldbench.catalogue import check_name
from waldbench.imaging import Scene, Sensor
from waldbench.imaging.tracks import TRACKS

T = TypeVar("T")
SPLITS = ("train", "valid", "reduced", "full")


class DatasetError(RuntimeError):
    """Data are missing or broken; the message says what was expected, what was found and what to do."""


def register(*_key: str, **_facts: Any) -> Callable[[T], T]:
    """Mark a Dataset class as a plugin; literals read from the file: key, task, sensor, title (required)."""
    return lambda cls: cls


class DatasetNotFoundError(DatasetError):
    """No files at the path that was given; the message says what was expected there."""


class Split(ABC):
    """A sequence of images of one split, read lazily; safe to share with loader workers.

    An index returns a Scene of one image; a sequence of indices or a slice returns one Scene with all of them as a batch.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def read(self, indices: Sequence[int]) -> Scene:
        """Read images as one float32 batch on the CPU; indices are valid and not negative."""

    def __getitem__(self, index: int | slice | Sequence[int]) -> Scene:
        """Scene of the named images. Raises IndexError for an index out of range."""
        everything = range(len(self))
        chosen = list(everything[index] if isinstance(index, slice) else [index] if isinstance(index, int) else index)
        for i in chosen:
            if not -len(self) <= i < len(self):
                raise IndexError(f"image {i} is out of range: this split has {len(self)} images")
        places = [i % len(self) for i in chosen]
        scene = self.read(places)
        # Scores are kept by name: an image without one is called by its place.
        return scene if scene.name else replace(scene, name=tuple(map(str, places)))

    def __iter__(self) -> Iterator[Scene]:
        """Scenes of one image each."""
        return (self[i] for i in range(len(self)))


class Dataset(ABC):
    """Images of one sensor with splits train, valid, reduced (with gt) and full (without).

    A registered dataset defines `open` and `split`, and sets the attributes; `datasets.open` checks that it does.

    Attributes:
        key: registry key, or "scene-<name>".
        task: "ms", "hs" or "sar".
        track: how it is evaluated: "ms", "hs", "sar-cr" or "sar-sharp" (default: the task).
        sensor: the sensor of all its images.
        source: "published", "simulated" or "user".
        fingerprint: sha256 of everything that determines its pixels (file contents, or generator version and seed).
        notices: warnings that a user must see before a run (defects, crops, fall-backs).
    """

    key: str
    task: str
    sensor: Sensor
    source: str
    fingerprint: str
    notices: list[str]

    @classmethod
    def open(cls, root: Path | None = None, source: str = "auto", **options: Any) -> Dataset:
        """Open the dataset; every registered class defines this (a user's scene is constructed instead).

        Args:
            root: folder of the published files; None: $WALDBENCH_DATA where it is set, then `data/`.
            source: "published", "simulated", or "auto": published where the files are found, else simulated, where it can be.
            options: `track`, of a task that has several, and what else the dataset takes.

        Raises:
            DatasetError: if files are missing or broken, or for a source that it does not have; the message says what to do.
        """
        raise DatasetError(f"{cls.__module__}.{cls.__qualname__} must define the class method open(root, source) -> Dataset")

    @property
    def track(self) -> str:
        """How it is evaluated; the task, unless a dataset has several tracks."""
        return self.task

    @property
    def label(self) -> str:
        """Folder name of its results: key, track where it is not the task, and source."""
        return "-".join([self.key, *([self.track] if self.track != self.task else []), self.source])

    @abstractmethod
    def split(self, name: str) -> Split:
        """Return a split by name; an empty one where the dataset has no such images.

        Raises:
            DatasetError: for an unknown name or broken files.
        """

    def check_split(self, name: str) -> None:
        """Raise DatasetError unless `name` is one of the four splits."""
        if name not in SPLITS:
            raise DatasetError(f"unknown split '{name}'; expected one of {', '.join(SPLITS)}")


def check_contract(dataset: object, key: str) -> Dataset:
    """What `open` of a registered class returned, if it is a dataset; pixels are not read.

    Raises:
        DatasetError: naming what is missing or wrong.
    """
    if not isinstance(dataset, Dataset):
        raise DatasetError(f"dataset '{key}': open returned {type(dataset).__name__}; expected a waldbench.datasets.base.Dataset")
    kinds = {"key": str, "task": str, "sensor": Sensor, "source": str, "fingerprint": str, "notices": list}
    for name, kind in kinds.items():
        value = getattr(dataset, name, None)
        if not isinstance(value, kind) or (kind is str and not value):
            raise DatasetError(f"dataset '{key}': its attribute {name} must be a {kind.__name__}, got {value!r}")
    if dataset.track not in TRACKS:
        raise DatasetError(f"dataset '{key}': its track '{dataset.track}' is unknown; expected one of {', '.join(TRACKS)}")
    try:
        check_name("the label of the dataset", dataset.label)
    except ValueError as error:
        raise DatasetError(str(error)) from error
    for name in SPLITS:
        split = dataset.split(name)
        if not isinstance(split, Split):
            raise DatasetError(
                f"dataset '{key}': split('{name}') returned {type(split).__name__}; expected a waldbench.datasets.base.Split "
                "(an empty one where there are no such images)"
            )
    return dataset


def facts(name: str, dataset: Dataset | None) -> dict[str, Any]:
    """What a record says about its dataset.

    Args:
        name: the name that the user gave: a registry key or `scene:PATH`.
        dataset: the opened dataset; None where it could not be opened, which leaves all facts but the name empty.
    """
    if dataset is None:
        return {"key": name, "task": "", "track": "", "sensor": "", "source": "", "fingerprint": "", "notices": []}
    return {
        "key": dataset.key,
        "task": dataset.task,
        "track": dataset.track,
        "sensor": dataset.sensor.key,
        "source": dataset.source,
        "fingerprint": dataset.fingerprint,
        "notices": list(dataset.notices),
    }
