"""How the low-resolution image of a scene lies on the pixels of PAN, and the area that both show."""

from __future__ import annotations

from dataclasses import dataclass, replace

from waldbench.datasets.array_layout import SLACK
from waldbench.datasets.base import DatasetError
from waldbench.datasets.grid import Axis, relation
from waldbench.datasets.raster import Raster

# PAN pixels by which MS may lie off whole PAN pixels before a user is told.
VISIBLE = 0.05
# Smallest ratio of pixel sizes that is sharpening.
LOWEST = 1.5


@dataclass(frozen=True)
class Placement:
    """MS on PAN.

    Attributes:
        rows: where the rows of MS lie, counted in rows of the PAN window.
        columns: where its columns lie.
        top: first row of the PAN window.
        left: first column of the PAN window.
        height: rows of the PAN window: those whose centres lie on MS.
        width: its columns.
        ratio: the integer resolution ratio that methods work with.
        georeferenced: whether the geotransforms say it; else the sizes do, and the phase is a convention.
        notice: a warning that a user must see; empty for none.
    """

    rows: Axis
    columns: Axis
    top: int
    left: int
    height: int
    width: int
    ratio: int
    georeferenced: bool
    notice: str = ""


def place(ms: Raster, pan: Raster, label: str, ratio: int | None = None) -> Placement:
    """Find how MS lies on PAN: by geotransforms where both have one, else by the sizes from the upper left corner.

    Args:
        ms: the low-resolution image (C, h, w).
        pan: the guide (1, H, W).
        label: what to call the scene in an error.
        ratio: where it is known; None: from pixel sizes or image sizes.

    Raises:
        DatasetError: if they show no common area, or one that does not fit.
    """
    low, high = ms.image.shape[-2:], pan.image.shape[-2:]
    if ms.grid is None or pan.grid is None:
        return _by_size(low, high, label, ratio)
    try:
        axes = relation(ms.grid, pan.grid, low)
    except DatasetError as error:
        raise DatasetError(f"{label}: {error}") from error
    scale = (axes[0].scale * axes[1].scale) ** 0.5
    if scale < LOWEST and round(high[1] / low[1]) >= 2:
        line = (
            f"{label}: pixels of MS and PAN cannot be of one size, as their geotransforms say; placed by the sizes of the images"
        )
        return replace(_by_size(low, high, label, ratio), notice=line)
    if scale < LOWEST:
        raise DatasetError(
            f"{label}: expected PAN pixels at most half the size of those of MS, found ratio {scale:.3g} by their geotransforms; "
            "is MS already interpolated?"
        )
    (top, bottom), (left, right) = (axis.covered(*sides) for axis, sides in zip(axes, zip(low, high, strict=True), strict=True))
    if bottom <= top or right <= left:
        raise DatasetError(f"{label}: MS and PAN show no common area by their geotransforms; are they of one place?")
    rows, columns = axes[0].moved(top), axes[1].moved(left)
    return Placement(rows, columns, top, left, bottom - top, right - left, ratio or max(round(scale), 2), True)


def _by_size(low: tuple[int, int], high: tuple[int, int], label: str, asked: int | None) -> Placement:
    ratio = asked or round(high[1] / low[1])
    if ratio < 2:
        raise DatasetError(
            f"{label}: expected PAN sides at least twice those of MS, found ratio {ratio} (MS {_size(low)}, PAN {_size(high)}); "
            "is MS already interpolated?"
        )
    height, width = (min(a, b // ratio) for a, b in zip(low, high, strict=True))
    if any(b - ratio * n > SLACK or ratio * (a - n) > SLACK for a, b, n in zip(low, high, (height, width), strict=True)):
        raise DatasetError(
            f"{label}: MS of {_size(low)} does not fit PAN of {_size(high)} at ratio {ratio}; all images must show the same area"
        )
    axis = Axis(float(ratio), (ratio - 1) / 2)
    return Placement(axis, axis, 0, 0, height * ratio, width * ratio, ratio, False)


@dataclass(frozen=True)
class Blocks:
    """The part of both images in which every MS pixel covers ratio x ratio whole PAN pixels, along one axis.

    Attributes:
        low: first MS pixel.
        high: first PAN pixel, counted in the whole PAN image.
        count: MS pixels.
        rest: PAN pixels by which MS lies off those blocks, at most 0.5.
    """

    low: int
    high: int
    count: int
    rest: float


def blocks(placed: Placement, low: tuple[int, int], high: tuple[int, int], label: str) -> tuple[Blocks, Blocks]:
    """Cut both axes to whole blocks, without resampling, as Wald's protocol needs them.

    Args:
        placed: how MS lies on PAN.
        low: sides of MS.
        high: sides of PAN.
        label: what to call the scene in an error.

    Raises:
        DatasetError: if the pixel sizes have no integer ratio, or no block is left.
    """
    if any(axis.scale != placed.ratio for axis in (placed.rows, placed.columns)):
        raise DatasetError(
            f"{label}: a pixel of MS is {placed.rows.scale:.4g} x {placed.columns.scale:.4g} pixels of PAN; expected an integer "
            "ratio; give --align to warp MS onto the grid of PAN"
        )
    found = (
        _blocks(placed.rows.offset + placed.top, low[0], high[0], placed.ratio),
        _blocks(placed.columns.offset + placed.left, low[1], high[1], placed.ratio),
    )
    if min(found[0].count, found[1].count) < 1:
        raise DatasetError(f"{label}: no MS pixel lies wholly inside PAN; do they show the same area?")
    return found


def _blocks(offset: float, low: int, high: int, ratio: int) -> Blocks:
    corner = offset - (ratio - 1) / 2
    near = round(corner)
    first = max(0, -(near // ratio))
    start = near + first * ratio
    return Blocks(first, start, min(low - first, (high - start) // ratio), corner - near)


def _size(sides: tuple[int, int]) -> str:
    return "x".join(map(str, sides))
