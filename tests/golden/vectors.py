"""Reads the golden vectors: the committed subset, or the full set where it lies beside the project."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

SUBSET = Path(__file__).parent / "data"
FULL = Path(__file__).parents[3] / "shared" / "golden" / "classic"

needs_full = pytest.mark.skipif(not FULL.is_dir(), reason=f"full golden vectors not found in {FULL}; the subset is still tested")


@cache
def load(name: str, folder: Path = SUBSET) -> dict[str, np.ndarray]:
    """All arrays of `name`.npz."""
    with np.load(folder / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def image(array: np.ndarray) -> Tensor:
    """(rows, columns) or (rows, columns, bands) as a float64 batch of one, (1, C, H, W)."""
    array = array[..., None] if array.ndim == 2 else array
    return torch.from_numpy(array.astype(np.float64)).permute(2, 0, 1)[None]


def deviation(value: Tensor | float, expected: np.ndarray) -> float:
    """Largest absolute difference over the largest expected magnitude."""
    value = np.asarray(torch.as_tensor(value).double()).reshape(expected.shape) if expected.ndim < 2 else np.asarray(value)
    return float(np.abs(value - expected).max() / np.abs(expected).max())


def image_deviation(value: Tensor, expected: np.ndarray) -> float:
    """`deviation` of a batch of one image from a golden image."""
    return float((value.double() - image(expected)).abs().max() / np.abs(expected).max())
