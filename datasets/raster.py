"""What the reader of a file format returns: one image with what the file says of it, or the variables of a whole scene."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from waldbench.datasets.grid import Grid

Array = NDArray[Any]


@dataclass(frozen=True)
class Raster:
    """One image of a file.

    Attributes:
        image: pixels as they are stored: (H, W), (H, W, C) or (C, H, W); on disk where it was opened mapped.
        files: the files it consists of, for the fingerprint.
        band_axis: the axis of the bands; None where the file does not say.
        wavelengths: centres of the bands in nm; None where the file does not say.
        widths: full widths at half maximum of the bands in nm; None where the file does not say.
        notices: warnings that a user must see.
        grid: where the pixels lie; None where the file does not say.
        nodata: value of every band that marks pixels without data; empty where there is none. NaN always does.
        mask: (H, W), not 0 where pixels are valid, from a mask band or an alpha band; None where there is none.
        alpha: place of the alpha band in the file, from 0, where its values made it the mask and not a band.
        interpretation: colour interpretation of every band, GDAL's words ("red", "alpha", "palette"); empty where not said.
        names: description of every band; empty where not said.
        scaling: (scale, offset) of every band from digital numbers to physical values; empty where not said.
        tags: what else must survive: "rpc" (GDAL's RPC metadata) and "gcps" (ground control points and their system).
    """

    image: Any
    files: tuple[Path, ...]
    band_axis: int | None = None
    wavelengths: tuple[float, ...] | None = None
    widths: tuple[float, ...] | None = None
    notices: tuple[str, ...] = ()
    grid: Grid | None = None
    nodata: tuple[float | None, ...] = ()
    mask: Any = None
    alpha: int | None = None
    interpretation: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    scaling: tuple[tuple[float, float], ...] = ()
    tags: dict[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """What the file says about its bands, without what it leaves open."""
        found = {"wavelengths": self.wavelengths, "widths": self.widths}
        return {name: values for name, values in found.items() if values}

    def stacked(self, axis: int) -> Raster:
        """The image as (C, H, W), its bands being that axis now; a single band (H, W) gets one."""
        if self.image.ndim == 2:
            return replace(self, image=self.image[None], band_axis=0)
        image = self.image if axis == 0 else np.moveaxis(self.image, axis, 0)
        return replace(self, image=image, band_axis=0)

    def with_alpha(self) -> Raster:
        """The image (C, H, W) with the alpha band as a band again, and no mask."""
        if self.alpha is None:
            return self
        place = self.alpha
        words: dict[str, Any] = {
            name: (*values[:place], word, *values[place:])
            for name, word in (("nodata", None), ("interpretation", "undefined"), ("names", ""), ("scaling", (1.0, 0.0)))
            if (values := getattr(self, name))
        }
        if hasattr(self.image, "with_band"):
            image = self.image.with_band(place)
        else:
            image = np.insert(self.image, place, np.asarray(self.mask).astype(self.image.dtype), axis=0)
        return replace(self, image=image, mask=None, alpha=None, notices=(), **words)

    def choose(self, bands: tuple[int, ...]) -> Raster:
        """The image (C, H, W) of some of its bands, numbered from 0, in that order."""
        if bands == tuple(range(self.image.shape[0])):
            return self
        chosen: dict[str, Any] = {
            name: tuple(values[band] for band in bands)
            for name in ("wavelengths", "widths", "nodata", "interpretation", "names", "scaling")
            if (values := getattr(self, name))
        }
        image = self.image.choose(bands) if hasattr(self.image, "choose") else self.image[list(bands)]
        return replace(self, image=image, **chosen)

    def window(self, rows: slice, columns: slice) -> tuple[Array, Array | None]:
        """Pixels (C, h, w) of a window and which of them are valid (h, w); None where all are. The image is (C, H, W)."""
        pixels = np.asarray(self.image[:, rows, columns])
        return pixels, self._valid(pixels, rows, columns)

    def _valid(self, pixels: Array, rows: slice, columns: slice) -> Array | None:
        valid = None if self.mask is None else np.asarray(self.mask[rows, columns]) != 0
        if pixels.dtype.kind == "f" and np.isnan(pixels.sum(dtype=np.float64)):
            found = ~np.isnan(pixels).any(0)
            valid = found if valid is None else valid & found
        for band, value in enumerate(self.nodata):
            if value is not None and not np.isnan(value) and _holds(value, pixels.dtype):
                found = pixels[band] != np.asarray(value).astype(pixels.dtype)
                valid = found if valid is None else valid & found
        return None if valid is None or valid.all() else valid


def _holds(value: float, dtype: np.dtype[Any]) -> bool:
    """Whether a type can hold a value; -9999 as nodata of unsigned numbers marks nothing."""
    if dtype.kind not in "ui":
        return True
    limits = np.iinfo(dtype)
    return value == int(value) and limits.min <= value <= limits.max


@dataclass(frozen=True)
class Variables:
    """Named arrays and texts of one file that holds a whole scene.

    Attributes:
        values: arrays and texts by their names in the file.
        files: the file, for the fingerprint.
    """

    values: dict[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
