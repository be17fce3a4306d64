"""One look at every pixel of an image before it is used: type, finite values, range, share without data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from waldbench.datasets.base import DatasetError
from waldbench.datasets.raster import Array, Raster

# Rows that are read at a time.
ROWS = 256
# Highest value of an image that is no digital numbers but reflectance.
FRACTIONS = 1.5


@dataclass(frozen=True)
class Survey:
    """What was seen.

    Attributes:
        highest: of every band over the valid pixels.
        mean: of every band over the valid pixels.
        invalid: number of pixels without data.
        count: number of all pixels.
    """

    highest: Array
    mean: Array
    invalid: int
    count: int

    def notices(self, label: str) -> list[str]:
        """A line where pixels have no data."""
        if not self.invalid:
            return []
        share = 100 * self.invalid / self.count
        return [f"{label}: {self.invalid} of {self.count} pixels ({share:.2g} %) have no data (nodata, mask or NaN): left out"]


def survey(raster: Raster, label: str, fractions: bool) -> Survey:
    """Look at an image (C, H, W).

    Args:
        raster: the image.
        label: what to call it in an error.
        fractions: whether values below 1.5 are allowed, as of cubes in reflectance.

    Raises:
        DatasetError: if values are no real numbers, infinite, or no digital numbers, or no pixel has data.
    """
    if raster.image.dtype.kind not in "uif":
        raise DatasetError(f"{label}: expected real numbers, found {raster.image.dtype}")
    bands, height, width = raster.image.shape
    highest, total, valid = np.full(bands, -np.inf), np.zeros(bands), 0
    for top in range(0, height, ROWS):
        pixels, known = raster.window(slice(top, min(top + ROWS, height)), slice(0, width))
        if known is not None:
            pixels = pixels[:, known][:, None]
        if not pixels.size:
            continue
        _refuse_infinite(pixels, label, top if known is None else None)
        valid += pixels[0].size
        highest = np.maximum(highest, pixels.max((1, 2)))
        total += pixels.sum((1, 2), dtype=np.float64)
    if not valid:
        raise DatasetError(f"{label}: no pixel has data (all are nodata, masked or NaN); is it the right file?")
    if highest.max() <= FRACTIONS and not fractions:
        raise DatasetError(
            f"{label}: values reach {highest.max():g} only; expected digital numbers, 0 to 2^bits - 1; multiply by that first"
        )
    return Survey(highest.astype(np.float32), total / valid, height * width - valid, height * width)


def _refuse_infinite(pixels: Array, label: str, top: int | None) -> None:
    if pixels.dtype.kind != "f" or np.isfinite(pixels.sum(dtype=np.float64)):
        return
    bad = ~np.isfinite(pixels)
    count = int(bad.sum())
    if not count:
        return
    band, row, column = (int(index[0]) for index in bad.nonzero())
    place = f" at row {top + row}, column {column}" if top is not None else ""
    raise DatasetError(
        f"{label}: {count} infinite values, the first in band {band + 1}{place}; declare them as nodata, or fill them"
    )
