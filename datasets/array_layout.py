"""Finds the axis of the bands in arrays of any layout."""

from __future__ import annotations

import numpy as np

from waldbench.datasets.base import DatasetError
from waldbench.datasets.raster import Array

# PAN pixels by which the sizes of the two images may differ; a larger difference means that they show different areas.
SLACK = 16
# Largest number of bands of a multispectral image; images of more bands are hyperspectral.
MULTISPECTRAL = 16


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
        turned = [axis for axis in (2, 0) if _fits(tuple(np.delete(array.shape, axis))[::-1], size)]
        if turned:
            # Columns first, as some programs export MATLAB's arrays.
            return np.moveaxis(array, min(turned, key=lambda axis: array.shape[axis]), 0).swapaxes(1, 2)
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
