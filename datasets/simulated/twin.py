"""Simulated twins of four multispectral sensors and four hyperspectral data sets: the published splits, made on demand."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from waldbench.datasets.base import Dataset, DatasetError, Split
from waldbench.datasets.simulated.cache import Arrays, load, place, prepare
from waldbench.datasets.simulated.chunks import SENSORS, SPECTROMETERS, VERSION, Chunk, layout
from waldbench.imaging import Scene, interp23, sensors

# Images per split as published; WorldView-2 has no published training set, its twin's is as long as WorldView-3's.
# A cube needs a hundred times the memory of an image of four bands, so these twins are smaller than the published sets.
LENGTHS = {
    "wv3": {"train": 9714, "valid": 1080, "reduced": 20, "full": 20},
    "wv2": {"train": 9714, "valid": 1080, "reduced": 20, "full": 20},
    "qb": {"train": 17139, "valid": 1905, "reduced": 20, "full": 20},
    "gf2": {"train": 19809, "valid": 2201, "reduced": 20, "full": 20},
} | {key: {"train": 144, "valid": 18, "reduced": 4, "full": 2} for key in SPECTROMETERS}
MEMORY = 512 * 2**20


class SimulatedTwin(Dataset):
    """The embedded twin of a sensor: seeded scenes, imaged by a physical sensor model, in the published splits and shapes.

    Images are made when they are first read, in chunks of one scene, and kept in a cache folder. Image `i` depends on nothing
    but sensor, seed, split and `i`.

    Args:
        key: key of the dataset: "wv3", "wv2", "qb", "gf2", or a cube "wdc", "pavia", "botswana", "fr1".
        seed: seed of all scenes.
        cache: folder of the cache; None: $WALDBENCH_CACHE where it is set, then `~/.cache/waldbench`.

    Raises:
        DatasetError: for another key or a negative seed.
    """

    source = "simulated"

    def __init__(self, key: str, *, seed: int = 0, cache: Path | None = None) -> None:
        if key not in LENGTHS:
            raise DatasetError(f"no simulated twin of '{key}'; there are twins of {', '.join(LENGTHS)}")
        if seed < 0:
            raise DatasetError(f"seed: expected an integer of at least 0, got {seed}")
        self.key, self.seed, self.sensor = key, seed, sensors.get(key)
        self.task = "ms" if key in SENSORS else "hs"
        self.fingerprint = hashlib.sha256(f"waldbench simulated twin {VERSION} {key} {seed}".encode()).hexdigest()
        self.folder = place(self.fingerprint, cache)
        self.notices = [f"{key}: simulated twin of {self.sensor.title} (generator {VERSION}, seed {seed}), not real images"]
        if key == "wv2":
            self.notices.append("wv2: the published set has no training split; the twin's is simulated like all its images")
        if self.task == "hs":
            sizes = ", ".join(f"{name} {count}" for name, count in LENGTHS[key].items())
            self.notices.append(
                f"{key}: the twin is smaller than the published set ({sizes}), and has a full split which that lacks"
            )
        self._splits: dict[str, TwinSplit] = {}

    def split(self, name: str) -> TwinSplit:
        """Return a split by name.

        Raises:
            DatasetError: for an unknown name.
        """
        self.check_split(name)
        if name not in self._splits:
            self._splits[name] = TwinSplit(self.key, self.seed, name, self.folder)
        return self._splits[name]

    def prepare(self, name: str, count: int | None = None, workers: int | None = None) -> None:
        """Make the first `count` images of a split (None: all) in parallel processes.

        Workers are spawned, so a script that calls this needs the usual `if __name__ == "__main__":`.

        Args:
            name: name of the split.
            count: number of images; None, or more than the split has: all.
            workers: number of processes; None: one a core; 1: this process.
        """
        split = self.split(name)
        images = len(split) if count is None else min(max(count, 0), len(split))
        chunks = [Chunk(self.key, self.seed, name, number) for number in range(-(-images // layout(self.key).per_chunk(name)))]
        prepare(chunks, self.folder, workers)


class TwinSplit(Split):
    """One split of a twin; that of full resolution also has the hidden ground truth."""

    def __init__(self, key: str, seed: int, name: str, folder: Path) -> None:
        self.key, self.seed, self.name, self.folder = key, seed, name, folder
        self._memory: OrderedDict[int, Arrays] = OrderedDict()

    def __len__(self) -> int:
        return LENGTHS[self.key][self.name]

    def __getstate__(self) -> dict[str, Any]:
        """Loader workers get the parameters of the twin, not the images in memory."""
        return {**self.__dict__, "_memory": OrderedDict()}

    def read(self, indices: Sequence[int]) -> Scene:
        """Read images as one batch: `lms` is `ms` through the 23-tap interpolator; full resolution has no gt."""
        images = [self._image(index) for index in indices]
        stacked = {name: torch.from_numpy(np.stack([image[name] for image in images]).astype(np.float32)) for name in images[0]}
        return Scene(
            ms=stacked["ms"],
            lms=interp23(stacked["ms"], stacked["pan"].shape[-1] // stacked["ms"].shape[-1]),
            guide=stacked["pan"],
            gt=stacked.get("gt"),
            name=tuple(f"{self.key}-simulated-{self.name}-{index}" for index in indices),
        )

    def truth(self, index: int) -> Tensor:
        """Hidden truth of a full-resolution image, (1, C, H, W) in DN: what the MS bands would be on PAN's grid.

        Raises:
            DatasetError: for another split, whose truth is its gt.
            IndexError: if the split has no such image.
        """
        if self.name != "full":
            raise DatasetError(f"split '{self.name}' has its truth as gt; only 'full' hides one")
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} is out of range: this split has {len(self)} images")
        return torch.from_numpy(self._image(index % len(self))["truth"].astype(np.float32))[None]

    def _image(self, index: int) -> Arrays:
        number, place = divmod(index, layout(self.key).per_chunk(self.name))
        arrays = self._memory.pop(number, None) or load(Chunk(self.key, self.seed, self.name, number), self.folder)
        self._memory[number] = arrays
        held = sum(array.nbytes for array in arrays.values()) * len(self._memory)
        if held > MEMORY:
            self._memory.popitem(last=False)
        return {name: array[place] for name, array in arrays.items()}
