"""Warps a low-resolution image onto the grid of its guide, where the two are not parallel."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

from waldbench.datasets import gdal_files
from waldbench.datasets.band_files import stack
from waldbench.datasets.base import DatasetError
from waldbench.datasets.grid import relation
from waldbench.datasets.raster import Raster


def aligned(ms: Raster, pan: Raster, files: tuple[Path, ...], mapped: bool) -> tuple[Raster, list[str]]:
    """MS on a grid whose pixels are whole blocks of PAN pixels, by cubic convolution, and a line that says so.

    An image that lies so already is returned as it is.

    Args:
        ms: the low-resolution image.
        pan: the guide.
        files: the files of `ms`.
        mapped: leave the pixels on disk; they are warped as they are used.

    Raises:
        DatasetError: if one of them is not georeferenced, or rasterio is missing.
    """
    if ms.grid is None or pan.grid is None or not ms.grid.crs or not pan.grid.crs:
        raise DatasetError(
            f"--align needs MS and PAN with geotransform and reference system; {files[0]} and {pan.files[0]} lack some"
        )
    if not gdal_files.available():
        raise DatasetError("--align needs rasterio, which is not installed; pip install rasterio")
    shape = ms.image.shape[1:] if ms.image.ndim == 3 else ms.image.shape
    if _fits(ms, pan, shape):
        return ms, []
    options, ratio = _options(pan, files[0])
    masked = bool(ms.nodata) or ms.mask is not None
    if not masked:
        # Else nothing would tell where the warped image ends.
        options["add_alpha"] = True
    warped = stack([gdal_files.read(file, mapped, "a raster file", options) for file in files])
    line = f"MS warped onto the grid of PAN (--align): {pan.grid.crs}, {ratio} PAN pixels a pixel, cubic convolution"
    return replace(warped, names=ms.names, interpretation=ms.interpretation), [line]


def _fits(ms: Raster, pan: Raster, shape: tuple[int, int]) -> bool:
    assert ms.grid is not None
    assert pan.grid is not None
    try:
        axes = relation(ms.grid, pan.grid, shape)
    except DatasetError:
        return False
    return all(axis.scale == round(axis.scale) for axis in axes)


def _options(pan: Raster, file: Path) -> tuple[dict[str, Any], int]:
    """Arguments of WarpedVRT, and the resolution ratio that they make."""
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.warp import calculate_default_transform

    assert pan.grid is not None
    with gdal_files.opened(file) as source:
        natural, _, _ = calculate_default_transform(source.crs, pan.grid.crs, source.width, source.height, *source.bounds)
    height, width = pan.grid.pixel
    ratio = max(round(abs(natural.a * natural.e / (height * width)) ** 0.5), 1)
    rows, columns = pan.image.shape[-2:]
    options = {
        "crs": pan.grid.crs,
        "transform": rasterio.Affine(*pan.grid.scaled(ratio).transform),
        "height": ceil(rows / ratio),
        "width": ceil(columns / ratio),
        "resampling": Resampling.cubic,
    }
    return options, ratio
