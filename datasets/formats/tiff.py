"""TIFF files: through rasterio with all that they say; where it is missing, or pages are bands, with tifffile."""

from __future__ import annotations

from pathlib import Path

from waldbench.datasets import gdal_files, tiff_pages
from waldbench.datasets.base import DatasetError
from waldbench.datasets.contents import TIFF, diagnosis
from waldbench.datasets.raster import Raster

suffixes = (".tif", ".tiff")
paired = True
preference = 0


def read(path: Path, mapped: bool = False) -> Raster:
    """Read an image; with `mapped` its pixels stay on disk (all of them with rasterio, uncompressed ones without).

    Raises:
        DatasetError: if the file is broken, no image of radiance, or compressed in a way that cannot be read here.
    """
    try:
        pages = tiff_pages.count(path)
    except Exception as error:  # tifffile raises many different exceptions for broken files
        raise DatasetError(f"{path}: {diagnosis(path, TIFF, error)}") from error
    # GDAL takes the pages of a file for several images; tifffile and many programs write bands as pages.
    if pages > 1 or not gdal_files.available():
        return tiff_pages.read(path, mapped)
    return gdal_files.read(path, mapped, TIFF)
