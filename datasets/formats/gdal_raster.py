"""JPEG2000 files and GDAL's virtual rasters, through rasterio."""

from __future__ import annotations

from pathlib import Path

from waldbench.datasets import gdal_files
from waldbench.datasets.base import DatasetError
from waldbench.datasets.contents import JPEG2000
from waldbench.datasets.raster import Raster

suffixes = (".jp2", ".j2k", ".vrt")
paired = True
preference = 5


def read(path: Path, mapped: bool = False) -> Raster:
    """Read an image; with `mapped` its pixels stay on disk.

    Raises:
        DatasetError: if the file is broken or rasterio is not installed.
    """
    if not gdal_files.available():
        raise DatasetError(f"{path}: {path.suffix} is read through rasterio, which is not installed; pip install rasterio")
    return gdal_files.read(path, mapped, "a virtual raster (XML)" if path.suffix.lower() == ".vrt" else JPEG2000)
