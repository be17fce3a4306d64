"""Chunks: what one simulated scene yields for a split, made from its seed alone and kept as one file in the cache."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.base import SPLITS
from datasets.simulated import optics
from datasets.simulated.compose import KINDS
from datasets.simulated.render import render
from imaging import Sensor, sensors

# Raise it with any change that moves a pixel: it is part of every fingerprint and cache folder.
VERSION = 1
SENSORS = ("wv3", "wv2", "qb", "gf2")
PATCH, STRIDE, PER_SIDE = 64, 48, 5
PER_CHUNK = {"train": PER_SIDE**2, "valid": PER_SIDE**2, "reduced": 1, "full": 1}
SIDE = {"train": 1024, "valid": 1024, "reduced": 1024, "full": 512}

Arrays = dict[str, NDArray[np.uint16]]


@dataclass(frozen=True)
class Chunk:
    """One scene of one split: `sensor`, `seed`, `split` and its `number` decide every pixel."""

    sensor: str
    seed: int
    split: str
    number: int

    @property
    def kind(self) -> str:
        """Kind of scene; they take turns, the splits starting at different ones."""
        return KINDS[(self.number + 5 * SPLITS.index(self.split)) % len(KINDS)]

    @property
    def entropy(self) -> np.random.SeedSequence:
        """Seed of this scene, disjoint from every other split's and chunk's."""
        return np.random.SeedSequence([VERSION, SENSORS.index(self.sensor), self.seed, SPLITS.index(self.split), self.number])

    def file(self, folder: Path) -> Path:
        """Its file in a cache folder."""
        return folder / self.split / f"{self.number:05d}.npz"

    def make(self) -> Arrays:
        """Simulate the chunk: images (n, C, H, W) in DN by name (gt, ms, pan; at full resolution truth, ms, pan)."""
        sensor = sensors.get(self.sensor)
        scene, noise = self.entropy.spawn(2)
        with _one_thread(), torch.inference_mode():
            signal = torch.from_numpy(render(sensor, SIDE[self.split], self.kind, scene))[None]
            rng = np.random.Generator(np.random.PCG64(noise))
            ms = optics.native_ms(signal[:, :-1], sensor, rng)
            pan = optics.native_pan(signal[:, -1:], sensor, rng)
            images = (
                {"ms": ms, "pan": pan, "truth": optics.true_ms(signal[:, :-1], sensor)}
                if self.split == "full"
                else _reduced(ms, pan, sensor, self.split)
            )
        return {name: image.numpy().astype(np.uint16) for name, image in images.items()}


def _reduced(ms: Tensor, pan: Tensor, sensor: Sensor, split: str) -> dict[str, Tensor]:
    gt, low = ms, optics.degrade_pan(pan, sensor)
    if split in ("train", "valid"):
        gt, low = _patches(gt), _patches(low)
    return {"gt": gt, "ms": optics.degrade_ms(gt, sensor), "pan": low}


def _patches(image: Tensor) -> Tensor:
    """Overlapping patches (25, C, 64, 64) of (1, C, 256, 256)."""
    tiles = image[0].unfold(1, PATCH, STRIDE).unfold(2, PATCH, STRIDE)
    return tiles.permute(1, 2, 0, 3, 4).reshape(-1, image.shape[1], PATCH, PATCH)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums must not depend on how many threads share them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load(chunk: Chunk, folder: Path) -> Arrays:
    """Read a chunk from the cache folder, making (or, where the file is broken, remaking) it first."""
    path = chunk.file(folder)
    if path.exists():
        try:
            # Every member carries a CRC-32 that reading checks.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                return {name: file[name] for name in ("gt" if chunk.split != "full" else "truth", "ms", "pan")}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            path.unlink(missing_ok=True)
    arrays = chunk.make()
    _write(path, arrays)
    return arrays


def _write(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def prepare(task: tuple[Chunk, Path]) -> None:
    """Make sure that one chunk is in the cache (a function of this module, so that worker processes can import it)."""
    load(*task)
