"""Chunks: the images of one simulated scene for a split, made from its seed alone and kept as one file in the cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from waldbench.datasets.base import SPLITS
from waldbench.datasets.simulated import optics
from waldbench.datasets.simulated.cache import Arrays, one_thread
from waldbench.datasets.simulated.compose import KINDS
from waldbench.datasets.simulated.render import render
from waldbench.imaging import Sensor, sensors

# Increase it with any change of a pixel: it is part of every fingerprint and cache folder.
VERSION = 1
SENSORS = ("wv3", "wv2", "qb", "gf2")
SPECTROMETERS = ("wdc", "pavia", "botswana", "fr1")


@dataclass(frozen=True)
class Layout:
    """Sizes of the scenes and images of a sensor.

    Attributes:
        side: side of the scene in PAN pixels, by split.
        patch: side of a training or validation patch in pixels of its ground truth.
        stride: distance between neighbouring patches in pixels of the ground truth.
        per_side: patches along each side of a scene.
    """

    side: dict[str, int]
    patch: int
    stride: int
    per_side: int

    def per_chunk(self, split: str) -> int:
        """Number of images of one scene."""
        return self.per_side**2 if split in ("train", "valid") else 1


_MULTISPECTRAL = Layout({"train": 1024, "valid": 1024, "reduced": 1024, "full": 512}, 64, 48, 5)
# A cube has a hundred bands more, so its scenes are smaller to fit into memory.
_CUBE = Layout({"train": 512, "valid": 512, "reduced": 512, "full": 256}, 64, 32, 3)
_CUBE_BY_SIX = Layout({"train": 864, "valid": 864, "reduced": 864, "full": 240}, 72, 36, 3)


def layout(key: str) -> Layout:
    """The layout of a twin."""
    return _MULTISPECTRAL if key in SENSORS else _CUBE_BY_SIX if sensors.get(key).ratio == 6 else _CUBE


@dataclass(frozen=True)
class Chunk:
    """One scene of one split: `sensor`, `seed`, `split` and its `number` decide every pixel."""

    sensor: str
    seed: int
    split: str
    number: int

    @property
    def kind(self) -> str:
        """Kind of scene; the kinds alternate, and every split starts with another one."""
        return KINDS[(self.number + 5 * SPLITS.index(self.split)) % len(KINDS)]

    @property
    def entropy(self) -> np.random.SeedSequence:
        """Seed of this scene, disjoint from every other split's and chunk's."""
        number = (*SENSORS, *SPECTROMETERS).index(self.sensor)
        return np.random.SeedSequence([VERSION, number, self.seed, SPLITS.index(self.split), self.number])

    @property
    def names(self) -> tuple[str, ...]:
        """Number of its images."""
        return ("gt" if self.split != "full" else "truth", "ms", "pan")

    def make(self) -> Arrays:
        """Simulate the chunk: images (n, C, H, W) in DN by name (gt, ms, pan; at full resolution truth, ms, pan)."""
        sensor = sensors.get(self.sensor)
        scene, noise = self.entropy.spawn(2)
        with one_thread(), torch.inference_mode():
            signal = torch.from_numpy(render(sensor, layout(self.sensor).side[self.split], self.kind, scene))[None]
            rng = np.random.Generator(np.random.PCG64(noise))
            ms = optics.native_ms(signal[:, :-1], sensor, rng)
            pan = optics.native_pan(signal[:, -1:], sensor, rng)
            images = (
                {"ms": ms, "pan": pan, "truth": optics.true_ms(signal[:, :-1], sensor)}
                if self.split == "full"
                else _reduced(ms, pan, sensor, layout(self.sensor) if self.split in ("train", "valid") else None)
            )
        return {name: image.numpy().astype(np.uint16) for name, image in images.items()}


def _reduced(ms: Tensor, pan: Tensor, sensor: Sensor, grid: Layout | None) -> dict[str, Tensor]:
    gt, low = ms, optics.degrade_pan(pan, sensor)
    if grid is not None:
        gt, low = _patches(gt, grid), _patches(low, grid)
    return {"gt": gt, "ms": optics.degrade_ms(gt, sensor), "pan": low}


def _patches(image: Tensor, grid: Layout) -> Tensor:
    """Overlapping patches (n, C, side, side) of an image (1, C, H, W)."""
    tiles = image[0].unfold(1, grid.patch, grid.stride).unfold(2, grid.patch, grid.stride)
    return tiles.permute(1, 2, 0, 3, 4).reshape(-1, image.shape[1], grid.patch, grid.patch)
