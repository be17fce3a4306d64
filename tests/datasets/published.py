"""Tiny files in the published PanCollection layout."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
import torch

from waldbench.imaging import interp23, sensors
from waldbench.imaging.filters import mtf

NAMES = {
    "train": "train_{}.h5",
    "valid": "valid_{}.h5",
    "reduced": "test_{}_multiExm1.h5",
    "full": "test_{}_OrigScale_multiExm1.h5",
}


def smooth_noise(count: int, bands: int, side: int, seed: int) -> torch.Tensor:
    """Random images with detail at every scale, in 11-bit digital numbers."""
    draw = torch.Generator().manual_seed(seed)
    total = torch.zeros(count, bands, side, side, dtype=torch.float64)
    for cells in (4, 8, 16, side):
        coarse = torch.rand(count, bands, cells, cells, generator=draw, dtype=torch.float64)
        total += torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic")
    return (total / total.amax() * 900).clamp(min=1)


def arrays(key: str, split: str, count: int = 3, side: int = 64, shift: tuple[int, int] = (0, 0)) -> dict[str, np.ndarray]:
    """Arrays of one file; `shift` moves ms against gt by so many low-resolution pixels (rows, columns)."""
    return {name: array.copy() for name, array in _arrays(key, split, count, side, shift).items()}


@lru_cache(maxsize=64)
def _arrays(key: str, split: str, count: int, side: int, shift: tuple[int, int]) -> dict[str, np.ndarray]:
    sensor = sensors.get(key)
    large = smooth_noise(count, sensor.count, side + 64, seed=len(key + split))
    low = mtf(large, sensor, step=4)
    dy, dx = shift
    start, stop = 32, 32 + side
    gt = large[..., start:stop, start:stop]
    ms = low[..., 8 + dy : 8 + dy + side // 4, 8 + dx : 8 + dx + side // 4]
    made = {"gt": gt, "ms": ms, "lms": interp23(ms, 4), "pan": gt.mean(1, keepdim=True)}
    if split == "full":
        del made["gt"]
    return {name: image.numpy() for name, image in made.items()}


def write(path: Path, content: dict[str, np.ndarray]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in content.items():
            file.create_dataset(name, data=array)
    return path


def write_all(root: Path, key: str, splits: tuple[str, ...] = tuple(NAMES), count: int = 3) -> dict[str, Path]:
    return {split: write(root / NAMES[split].format(key), arrays(key, split, count)) for split in splits}
