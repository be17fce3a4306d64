"""Base classes of datasets and their splits, and their errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from waldbench.imaging import Scene, Sensor

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
        return self.read([i % len(self) for i in chosen])

    def __iter__(self) -> Iterator[Scene]:
        """Scenes of one image each."""
        return (self[i] for i in range(len(self)))


class Dataset(ABC):
    """Images of one sensor with splits train, valid, reduced (with gt) and full (without).

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
