"""Bands in separate files, as one image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from waldbench.datasets.base import DatasetError
from waldbench.datasets.raster import Array, Raster


@dataclass(frozen=True)
class Stack:
    """Images (C, H, W) of one size, their bands one after the other; windows are read when they are asked for."""

    parts: tuple[Any, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Bands of all parts, rows, columns."""
        return (sum(part.shape[0] for part in self.parts), *self.parts[0].shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        kind: np.dtype[Any] = self.parts[0].dtype
        return kind

    ndim = 3

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Array:
        keys = key if isinstance(key, tuple) else (key,)
        stacked = np.concatenate([np.asarray(part[(slice(None), *keys[1:])]) for part in self.parts])
        return np.asarray(stacked[keys[0]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)

    def choose(self, bands: tuple[int, ...]) -> Stack:
        """Some of the bands; every part has one."""
        if len(self.parts) != self.shape[0]:
            raise DatasetError("--bands chooses among files of one band each; save each band as a file of its own")
        return Stack(tuple(self.parts[band] for band in bands))


@dataclass(frozen=True)
class AllValid:
    """Masks (H, W) of which all must be valid."""

    masks: tuple[Any, ...]

    def __getitem__(self, key: Any) -> Array:
        return np.asarray(np.all([np.asarray(mask[key]) != 0 for mask in self.masks], axis=0))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = self[:, :]
        return whole if dtype is None else whole.astype(dtype)


def stack(rasters: list[Raster]) -> Raster:
    """One image of the bands of several files, in their order; they must have one size, one type and one grid.

    Raises:
        DatasetError: if they do not; the message names the files.
    """
    if len(rasters) == 1:
        return rasters[0]
    whole = [raster.stacked(0 if raster.band_axis is None else raster.band_axis) for raster in rasters]
    first = whole[0]
    for other in whole[1:]:
        same = (other.image.shape[1:], other.image.dtype, other.grid) == (first.image.shape[1:], first.image.dtype, first.grid)
        if not same:
            raise DatasetError(
                f"{first.files[0]} of {first.image.shape[1:]} {first.image.dtype} and {other.files[0]} of "
                f"{other.image.shape[1:]} {other.image.dtype} do not lie on one grid as bands of one image; give bands of one "
                "resolution to --ms, or warp them to one grid first (gdalwarp)"
            )
    masks = tuple(raster.mask for raster in whole if raster.mask is not None)
    return replace(
        first,
        image=Stack(tuple(raster.image for raster in whole)),
        files=tuple(file for raster in whole for file in raster.files),
        wavelengths=None,
        widths=None,
        mask=AllValid(masks) if masks else None,
        alpha=None,
        nodata=_joined(whole, "nodata", None),
        interpretation=_joined(whole, "interpretation", "undefined"),
        names=tuple(name for raster in whole for name in (raster.names or (raster.files[0].stem,) * len(raster.image))),
        scaling=_joined(whole, "scaling", (1.0, 0.0)),
        notices=tuple(notice for raster in whole for notice in raster.notices),
    )


def _joined(whole: list[Raster], name: str, default: Any) -> tuple[Any, ...]:
    """A fact of every band; empty where no file says it."""
    if not any(getattr(raster, name) for raster in whole):
        return ()
    return tuple(value for raster in whole for value in (getattr(raster, name) or (default,) * len(raster.image)))
