"""Where the pixels of an image lie: a geotransform and a coordinate reference system; how two such grids lie to each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import hypot

from waldbench.datasets.base import DatasetError

# PAN pixels by which a grid may be turned against another over the whole image and still count as parallel.
PARALLEL = 0.02


@dataclass(frozen=True)
class Grid:
    """The grid of one image.

    Attributes:
        transform: (a, b, c, d, e, f): the upper left corner of pixel (row, column) lies at
            x = a * column + b * row + c, y = d * column + e * row + f.
        crs: coordinate reference system, "EPSG:n" where it has such a number, else WKT; empty where the file says none.
    """

    transform: tuple[float, float, float, float, float, float]
    crs: str = ""

    @property
    def pixel(self) -> tuple[float, float]:
        """Height and width of a pixel in units of the reference system."""
        a, b, _, d, e, _ = self.transform
        return hypot(b, e), hypot(a, d)

    def shifted(self, top: float, left: float) -> Grid:
        """The grid of a window that begins at row `top`, column `left`."""
        a, b, c, d, e, f = self.transform
        return replace(self, transform=(a, b, c + a * left + b * top, d, e, f + d * left + e * top))

    def scaled(self, factor: float) -> Grid:
        """The grid of an image with pixels `factor` times as large."""
        a, b, c, d, e, f = self.transform
        return replace(self, transform=(a * factor, b * factor, c, d * factor, e * factor, f))


@dataclass(frozen=True)
class Axis:
    """How MS lies on PAN's pixels along one axis: the centre of MS pixel k lies at PAN index scale * k + offset (0-based)."""

    scale: float
    offset: float

    def covered(self, low: int, high: int) -> tuple[int, int]:
        """First and last + 1 of the PAN pixels (of `high`) whose centres lie on the area of MS (`low` pixels)."""
        begin, end = self.offset - self.scale / 2, self.offset + self.scale * (low - 0.5)
        # A millionth of a pixel is rounding of the geotransform.
        return max(0, -int(-(begin - 1e-6) // 1)), min(high, int((end + 1e-6) // 1) + 1)

    def moved(self, first: int) -> Axis:
        """The same with PAN indices counted from `first`."""
        return Axis(self.scale, self.offset - first)


def relation(ms: Grid, pan: Grid, shape: tuple[int, int]) -> tuple[Axis, Axis]:
    """How MS lies on PAN, down the rows and along the columns.

    Args:
        ms: grid of the low-resolution image.
        pan: grid of the guide.
        shape: rows and columns of the low-resolution image.

    Raises:
        DatasetError: for different reference systems, grids turned or flipped against each other; the message says the remedy.
    """
    if ms.crs and pan.crs and ms.crs != pan.crs:
        raise DatasetError(
            f"MS lies in {_short(ms.crs)}, PAN in {_short(pan.crs)}; give --align to warp MS onto the grid of PAN, or reproject "
            "one of them"
        )
    a, b, c, d, e, f = ms.transform
    across = [_inverse(pan, a, d), _inverse(pan, b, e), _inverse(pan, c - pan.transform[2], f - pan.transform[5])]
    (columns, turned), (tilted, rows), (left, top) = across
    if max(abs(turned) * shape[1], abs(tilted) * shape[0]) > PARALLEL:
        raise DatasetError("the grids of MS and PAN are turned against each other; give --align to warp MS onto the grid of PAN")
    if min(rows, columns) <= 0:
        raise DatasetError(
            "one of MS and PAN is stored upside down (its rows run the other way); give --align to warp MS onto the grid of PAN"
        )
    return _axis(rows, shape[0], top), _axis(columns, shape[1], left)


def _axis(scale: float, count: int, corner: float) -> Axis:
    """An axis of MS whose first pixel begins at PAN coordinate `corner`."""
    exact = _rounded(scale, count)
    # Corners become centres: that of MS pixel 0 is half an MS pixel inside, that of PAN pixel 0 half a PAN pixel.
    return Axis(exact, corner + exact / 2 - 0.5)


def _rounded(scale: float, count: int) -> float:
    """A ratio without the rounding that coordinates in files have, where it does not move the far edge visibly."""
    return float(round(scale)) if abs(scale - round(scale)) * count < PARALLEL else scale


def _inverse(grid: Grid, x: float, y: float) -> tuple[float, float]:
    """Columns and rows of a grid that a step of x and y spans."""
    a, b, _, d, e, _ = grid.transform
    determinant = a * e - b * d
    if determinant == 0:
        raise DatasetError(
            f"the geotransform {grid.transform} of PAN maps all pixels onto a line; repair it (gdal_edit.py -a_ullr)"
        )
    return (e * x - b * y) / determinant, (a * y - d * x) / determinant


def _short(crs: str) -> str:
    return crs if len(crs) < 20 else crs.split('"')[1] if '"' in crs else crs[:40]
