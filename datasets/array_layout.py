"""Converts arrays of any layout to tensors (1, C, H, W): finds the axis of the bands and checks the values."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from waldbench.datasets.base import DatasetError
from waldbench.datasets.raster import Array

# PAN pixels by which the sizes of the two images may differ; a larger difference means that they show different areas.
SLACK = 16
# Largest number of bands of a multispectral image; images of more bands are hyperspectral.
MULTISPECTRAL = 16


def to_tensors(arrays: dict[str, Array], labels: dict[str, str]) -> dict[str, Tensor]:
    """Convert arrays by role to float32 (1, C, H, W): the guides are squeezed, the bands of the others found by size.

    A "cube", hyperspectral without a guide, has its bands first already.

    Args:
        arrays: images by role: "ms", "pan", "gt", "ms_lr", "pan_lr" or "cube".
        labels: what to call each image in an error, by role.

    Raises:
        DatasetError: naming the label, if a shape does not fit, or values are NaN, infinite or not digital numbers.
    """
    for role, array in arrays.items():
        if array.dtype.kind not in "uif":
            raise DatasetError(f"{labels[role]}: expected real numbers, found {array.dtype}")
    planes = {role: plane(arrays[role], labels[role]) for role in ("pan", "pan_lr") if role in arrays}
    stacks = {"cube": arrays["cube"]} if "cube" in arrays else {}
    for role, guide in (("ms", "pan"), ("gt", "pan"), ("ms_lr", "pan_lr")):
        if role in arrays and guide in planes:
            stacks[role] = bands_first(arrays[role], planes[guide].shape, labels[role])
    # Cubes are often stored as reflectance; `cube_preparation.to_digital_numbers` converts them.
    fractions = any(len(stack) > MULTISPECTRAL for stack in stacks.values())
    whole = {role: flat[None] for role, flat in planes.items()} | stacks
    return {role: _tensor(array, labels[role], fractions) for role, array in whole.items()}


def plane(array: Array, label: str) -> Array:
    """The single band (H, W) of a panchromatic image. Raises DatasetError, naming the label, if there are several."""
    squeezed = array.squeeze()
    if squeezed.ndim != 2:
        raise DatasetError(
            f"{label}: expected one panchromatic band (H, W), found shape {array.shape}; give PAN second, after MS"
        )
    return squeezed


def bands_first(array: Array, size: tuple[int, ...], label: str) -> Array:
    """An image as (C, H, W), the bands found by the size of PAN. Raises DatasetError, naming the label, if none fits."""
    if array.ndim == 2:
        return array[None]
    if array.ndim != 3:
        raise DatasetError(f"{label}: expected bands (H, W, C) or (C, H, W), found shape {array.shape}")
    fits = [axis for axis in (2, 0) if _fits(tuple(np.delete(array.shape, axis)), size)]
    if not fits:
        raise DatasetError(
            f"{label}: shape {array.shape} fits PAN {size} at no integer ratio, bands first or last; both must show the same area"
        )
    axis = min(fits, key=lambda axis: array.shape[axis])
    return np.moveaxis(array, axis, 0)


def bands_first_alone(array: Array, axis: int | None = None) -> Array:
    """Bring the bands of a lone cube (H, W, C) or (C, H, W) to the front.

    Without `axis` the bands are the axis that differs where the two others are equal, else the last axis, as in most MATLAB and
    NumPy files.
    """
    if axis is None:
        a, b, c = array.shape
        axis = 0 if b == c and a != b else 1 if a == c and a != b else 2
    return np.moveaxis(array, axis, 0)


def _fits(sides: tuple[int, ...], size: tuple[int, ...]) -> bool:
    ratio = max(1, round(size[0] / sides[0]))
    return all(abs(large - ratio * small) <= SLACK for large, small in zip(size, sides, strict=True))


def _tensor(array: Array, label: str, fractions: bool) -> Tensor:
    image = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None]
    bad = ~torch.isfinite(image)
    count = int(bad.sum())
    if count:
        band, row, column = (int(i) for i in bad[0].nonzero()[0])
        raise DatasetError(
            f"{label}: {count} NaN or infinite values, the first in band {band + 1} at row {row}, column {column}; "
            "fill or cut them before fusion"
        )
    highest = float(image.max())
    if highest <= 1.5 and not fractions:
        raise DatasetError(
            f"{label}: values reach {highest:g} only; expected digital numbers, 0 to 2^bits - 1; multiply by that first"
        )
    return image
