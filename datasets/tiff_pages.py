"""TIFF files read with tifffile: where rasterio is missing, and files whose pages are bands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from waldbench.datasets import gdal_files
from waldbench.datasets.base import DatasetError
from waldbench.datasets.contents import TIFF, diagnosis
from waldbench.datasets.grid import Grid
from waldbench.datasets.raster import Array, Raster

SCALE, TIE, MATRIX, KEYS, NODATA = 33550, 33922, 34264, 34735, 42113
# Keys of the GeoTIFF directory: pixel is a point, and the numbers of projected and geographic systems.
POINT, PROJECTED, GEOGRAPHIC = 1025, 3072, 2048
# TIFF's codes: colours by palette, and extra samples that are alpha.
PALETTE, ALPHA = 3, (1, 2)
# The tag that says what a page is, and its bits for overviews and masks.
KIND, REDUCED, MASK = 254, 1, 4


def count(path: Path) -> int:
    """Number of pages that are images of their own: neither overviews nor masks. Raises what tifffile raises."""
    import tifffile

    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    with tifffile.TiffFile(path) as file:
        if len(file.pages) == 1:
            return 1
        tags = file.pages[1].aspage().tags
        kind = int(tags[KIND].value) if KIND in tags else 0
        return 1 if kind & (REDUCED | MASK) else len(file.pages)


def read(path: Path, mapped: bool) -> Raster:
    """Read an image with tifffile; with `mapped` an uncompressed one stays on disk.

    Raises:
        DatasetError: if it is broken, a palette image, or compressed in a way that tifffile cannot read alone.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0].aspage()
            uncompressed = file.series[0].dataoffset is not None
            facts = _facts(path, page)
        image = (
            tifffile.memmap(path, mode="r") if mapped and uncompressed else np.asarray(tifffile.imread(path, series=0, level=0))
        )
    except DatasetError:
        raise
    except Exception as error:  # tifffile raises many different exceptions for broken files
        if "imagecodecs" in str(error):
            raise DatasetError(f"{path}: {error}; install rasterio, or save it uncompressed") from error
        raise DatasetError(f"{path}: {diagnosis(path, TIFF, error)}") from error
    raster = Raster(image, (path,), **facts)
    return _without_alpha(raster, page) if tuple(page.extrasamples) and int(page.extrasamples[-1]) in ALPHA else raster


def _facts(path: Path, page: Any) -> dict[str, Any]:
    if int(page.photometric) == PALETTE:
        raise DatasetError(
            f"{path}: its pixels are numbers of colours in a palette, not radiance; give the original image, or expand the "
            "palette (gdal_translate -expand rgb)"
        )
    facts: dict[str, Any] = {"grid": _grid(page.tags)}
    if page.samplesperpixel > 1:
        facts["band_axis"] = 0 if int(page.planarconfig) == 2 else 2
    if NODATA in page.tags:
        text = str(page.tags[NODATA].value).strip().strip("\x00")
        facts["nodata"] = (float(text),) * page.samplesperpixel if text else ()
    return facts


def _grid(tags: Any) -> Grid | None:
    values = list(tags[KEYS].value) if KEYS in tags else []
    keys = {values[place]: values[place + 3] for place in range(4, len(values) - 3, 4) if values[place + 1] == 0}
    number = keys.get(PROJECTED) or keys.get(GEOGRAPHIC)
    crs = f"EPSG:{number}" if number and number < 32767 else ""
    half = 0.5 if keys.get(POINT) == 2 else 0.0
    if MATRIX in tags:
        m = tags[MATRIX].value
        return Grid((m[0], m[1], m[3], m[4], m[5], m[7]), crs).shifted(-half, -half)
    if SCALE not in tags or TIE not in tags:
        return None
    (width, height), (column, row, _, x, y) = tags[SCALE].value[:2], tags[TIE].value[:5]
    return Grid((width, 0.0, x - column * width, 0.0, -height, y + row * height), crs).shifted(-half, -half)


def _without_alpha(raster: Raster, page: Any) -> Raster:
    """The last sample as mask if its values are those of one; the same rule as for rasterio."""
    from dataclasses import replace

    axis = raster.band_axis or 0
    stacked: Array = np.moveaxis(raster.image, axis, 0)
    last, name = stacked[-1], raster.files[0].name
    full = 255 if last.dtype == np.uint8 else last.max()
    number = len(stacked)
    if ((last == 0) | (last == full)).mean() < gdal_files.EXTREME:
        line = f"band {number} of {name} is marked alpha, but its values vary as those of a band: read as a band"
        return replace(raster, notices=(f"{line} (--bands 1-{number} says so, --bands 1-{number - 1} leaves it out)",))
    line = f"band {number} of {name} is alpha: taken as the mask of valid pixels, not as a band (--bands overrides)"
    return replace(
        raster, image=stacked[:-1], band_axis=0, mask=last, alpha=number - 1, nodata=raster.nodata[:-1], notices=(line,)
    )
