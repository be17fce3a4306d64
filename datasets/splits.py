"""Splits that several datasets share: no images, images of one file, one image in memory, patches cut from one image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from waldbench.datasets.base import DatasetError, Split
from waldbench.imaging import Scene, interp23

if TYPE_CHECKING:
    from waldbench.datasets.hdf5 import ImageFile


class EmptySplit(Split):
    """A split of which a dataset has no images; `reason` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __len__(self) -> int:
        return 0

    def read(self, indices: Sequence[int]) -> Scene:
        """Raise DatasetError with the reason."""
        raise DatasetError(f"this split has no images: {self.reason}")


class FileSplit(Split):
    """Consecutive images of one HDF5 file with arrays ms, pan and perhaps lms and gt.

    Args:
        file: the opened file.
        name: start of the name of every image.
        ratio: resolution ratio of the sensor.
        factor: what the values of the file are multiplied by to become digital numbers.
        start: first image of the file.
        stop: index after the last image; None: all the images from `start` on.
    """

    def __init__(
        self, file: ImageFile, name: str, ratio: int, factor: float = 1.0, start: int = 0, stop: int | None = None
    ) -> None:
        self.file, self.name, self.ratio, self.factor = file, name, ratio, factor
        self.start, self.stop = start, int(file.shapes["ms"][0]) if stop is None else stop

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


class SceneSplit(Split):
    """One image, made by `build` when it is read for the first time and kept.

    Args:
        build: returns a Scene of one image; a picklable callable.
    """

    def __init__(self, build: Callable[[], Scene]) -> None:
        self._build = build

    def __len__(self) -> int:
        return 1

    @cached_property
    def scene(self) -> Scene:
        """The image, built on first use."""
        return self._build()

    def read(self, indices: Sequence[int]) -> Scene:
        """The image, once for each index."""
        if len(indices) == 1:
            return self.scene
        once = self.scene
        repeat = replace(once, name=()).map(lambda image: image[[0] * len(indices)])
        return replace(repeat, name=once.name * len(indices))


class PatchSplit(SceneSplit):
    """Square patches of one image on a regular grid.

    Args:
        build: returns a Scene of one image.
        size: (rows, columns) of the image in pixels of `ms`.
        side: side of a patch in pixels of `ms`.
        stride: distance of two patches in pixels of `ms`.
    """

    def __init__(self, build: Callable[[], Scene], size: tuple[int, int], side: int, stride: int) -> None:
        super().__init__(build)
        self.side = side
        rows, columns = (range(0, length - side + 1, stride) for length in size)
        self.corners = [(top, left) for top in rows for left in columns]

    def __len__(self) -> int:
        return len(self.corners)

    def read(self, indices: Sequence[int]) -> Scene:
        """Cut the patches as one batch."""
        patches = [self.scene.crop(*self.corners[i], self.side, self.side).images() for i in indices]
        batch = {label: torch.cat([patch[label] for patch in patches]) for label in self.scene.images()}
        source = self.scene.name[0] if self.scene.name else "patch"
        return Scene(**batch, name=tuple(f"{source}-{i}" for i in indices))
