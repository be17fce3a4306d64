"""The simulated twin of SEN12MS-CR: Sentinel-1 and clear and cloudy Sentinel-2 images of fictitious places, made on demand."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from waldbench.datasets.base import SPLITS, Dataset, DatasetError, Split
from waldbench.datasets.sar_tracks import DEFAULT, assemble, sensor_of
from waldbench.datasets.simulated.cache import Arrays, load, one_thread, place, prepare
from waldbench.datasets.simulated.sentinel import KINDS, SIDE, render
from waldbench.imaging import Scene

# Increase it with any change of a pixel: it is part of every fingerprint and cache folder.
VERSION = 2
PATCH, STRIDE = 64, 48
LENGTHS = {"train": 10000, "valid": 1000, "reduced": 40, "full": 0}
PER_SIDE = (SIDE - PATCH) // STRIDE + 1
PER_CHUNK = {"train": PER_SIDE**2, "valid": PER_SIDE**2, "reduced": 1, "full": 1}
# The shares of clouds and shadows alternate between the bins in which scores are reported.
COVERS = ((0.0, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 0.8), (0.8, 1.0))
IMAGES = ("sar", "clear", "cloudy", "mask")


@dataclass(frozen=True)
class Chunk:
    """One place of one split: `seed`, `split` and its `number` decide every pixel."""

    seed: int
    split: str
    number: int
    names = IMAGES

    def make(self) -> Arrays:
        """Simulate: sar (n, 2, H, W) float32, clear and cloudy (n, 13, H, W) uint16, mask (n, 1, H, W) uint8 in 1/255."""
        place, sky = np.random.SeedSequence([VERSION, self.seed, SPLITS.index(self.split), self.number]).spawn(2)
        kind = KINDS[(self.number + 3 * SPLITS.index(self.split)) % len(KINDS)]
        # The bins alternate with another period than the kinds of scene, so that each kind occurs in each bin.
        low, high = COVERS[(self.number * 3 + self.number // len(KINDS)) % len(COVERS)]
        with one_thread(), torch.inference_mode():
            cover = float(np.random.Generator(np.random.PCG64(sky)).uniform(low, high))
            images: Arrays = dict(zip(IMAGES, render(kind, cover, place), strict=True))
        images["clear"], images["cloudy"] = (images[name].astype(np.uint16) for name in ("clear", "cloudy"))
        images["mask"] = np.round(images["mask"] * 255).astype(np.uint8)
        cut = _patches if self.split in ("train", "valid") else lambda image: image[None]
        return {name: cut(image) for name, image in images.items()}


def _patches(image: NDArray[Any]) -> NDArray[Any]:
    """Overlapping patches (25, C, 64, 64) of (C, 256, 256)."""
    corners = [STRIDE * step for step in range(PER_SIDE)]
    return np.stack([image[:, y : y + PATCH, x : x + PATCH] for y in corners for x in corners])


class SentinelTwin(Dataset):
    """The embedded twin of SEN12MS-CR.

    Places are made when they are first read and kept in a cache folder that both tracks share. Image `i` depends on nothing but
    seed, split and `i`.

    Args:
        track: "sar-cr" (cloud removal) or "sar-sharp" (sharpening).
        seed: seed of all places.
        cache: folder of the cache; None: $WALDBENCH_CACHE where it is set, then `~/.cache/waldbench`.

    Raises:
        DatasetError: for an unknown track or a negative seed.
    """

    key = "sen12mscr"
    task = "sar"
    source = "simulated"

    def __init__(self, *, track: str = DEFAULT, seed: int = 0, cache: Path | None = None) -> None:
        self.sensor = sensor_of(track)
        if seed < 0:
            raise DatasetError(f"seed: expected an integer of at least 0, got {seed}")
        self._track, self.seed = track, seed
        self.fingerprint = hashlib.sha256(f"waldbench simulated sentinel twin {VERSION} {seed}".encode()).hexdigest()
        self.folder = place(self.fingerprint, cache)
        self.notices = [f"sen12mscr: simulated twin of {self.sensor.title} (generator {VERSION}, seed {seed}), not real images"]
        self._splits: dict[str, SentinelSplit] = {}

    @property
    def track(self) -> str:
        """How the images are used: "sar-cr" or "sar-sharp"."""
        return self._track

    def split(self, name: str) -> SentinelSplit:
        """Return a split by name.

        Raises:
            DatasetError: for an unknown name.
        """
        self.check_split(name)
        if name not in self._splits:
            self._splits[name] = SentinelSplit(self._track, self.seed, name, self.folder)
        return self._splits[name]

    def prepare(self, name: str, count: int | None = None, workers: int | None = None) -> None:
        """Make the first `count` images of a split (None: all) in parallel processes; see `SimulatedTwin.prepare`."""
        length = LENGTHS[name]
        images = length if count is None else min(max(count, 0), length)
        chunks = [Chunk(self.seed, name, number) for number in range(-(-images // PER_CHUNK[name]))]
        prepare(chunks, self.folder, workers)


class SentinelSplit(Split):
    """One split of the twin."""

    def __init__(self, track: str, seed: int, name: str, folder: Path) -> None:
        self.track, self.seed, self.name, self.folder = track, seed, name, folder
        self._memory: OrderedDict[int, Arrays] = OrderedDict()

    def __len__(self) -> int:
        return LENGTHS[self.name]

    def __getstate__(self) -> dict[str, Any]:
        """Loader workers get the parameters of the twin, not the images in memory."""
        return {**self.__dict__, "_memory": OrderedDict()}

    def read(self, indices: Sequence[int]) -> Scene:
        """Read images as one batch of the track."""
        images = [self._image(index) for index in indices]
        sar, clear, cloudy, mask = (
            torch.from_numpy(np.stack([image[name] for image in images]).astype(np.float32)) for name in IMAGES
        )
        names = tuple(f"sen12mscr-simulated-{self.name}-{index}" for index in indices)
        return assemble(self.track, sar, clear, cloudy, mask / 255, names)

    def _image(self, index: int) -> Arrays:
        number, place = divmod(index, PER_CHUNK[self.name])
        arrays = self._memory.pop(number, None) or load(Chunk(self.seed, self.name, number), self.folder)
        self._memory[number] = arrays
        # 64 places need 0.5 GB.
        if len(self._memory) > 64:
            self._memory.popitem(last=False)
        return {name: array[place] for name, array in arrays.items()}
