"""Writes GeoTIFF and cloud-optimised GeoTIFF through rasterio; plain GeoTIFF with tifffile where rasterio is missing."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from waldbench.bench.errors import UsageError
from waldbench.bench.products.labels import Labels
from waldbench.bench.products.output import CLASSIC_LIMIT, ROWS, TILE, Copied, Form
from waldbench.datasets import gdal_files
from waldbench.datasets.grid import Grid

Array = np.ndarray[Any, np.dtype[Any]]
SCALE, TIE, NODATA, RASTER_TYPE = 33550, 33922, 42113, 1025


def write(path: Path, pixels: Array, invalid: Array | None, form: Form, labels: Labels, progress: Copied) -> None:
    """Write an image.

    Args:
        path: the file.
        pixels: (C, H, W), on disk.
        invalid: pixels without data (H, W), where no value marks them.
        form: how it is written.
        labels: what it says of its pixels.
        progress: is told how many of how many rows are copied.

    Raises:
        UsageError: if GDAL refuses it.
    """
    if not gdal_files.available():
        _plain(path, pixels, form, labels)
        return
    os.environ.setdefault("GDAL_CACHEMAX", gdal_files.CACHE)
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    environment = rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True)
    try:
        with warnings.catch_warnings(), environment:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            _geotiff(path, pixels, invalid, form, labels, progress)
            if form.driver == "COG":
                _optimise(path, form)
    except RasterioError as error:
        raise UsageError(f"GDAL cannot write it so: {' '.join(str(error.__cause__ or error).split())}") from error


def _geotiff(path: Path, pixels: Array, invalid: Array | None, form: Form, labels: Labels, progress: Copied) -> None:
    import rasterio
    from rasterio.enums import ColorInterp, Resampling

    count, height, width = pixels.shape
    with rasterio.open(path, "w", **_profile(pixels, form, labels)) as file:
        if labels.interpretation:
            file.colorinterp = [ColorInterp[word] for word in labels.interpretation]
        _label(file, labels, count)
        for top in range(0, height, ROWS):
            rows = min(ROWS, height - top)
            window = rasterio.windows.Window(0, top, width, rows)
            file.write(pixels[:, top : top + rows], window=window)
            if invalid is not None:
                file.write_mask(~invalid[top : top + rows], window=window)
            progress(top + rows, height)
        if form.overviews and form.driver == "GTiff" and max(height, width) > TILE:
            factors = [2**power for power in range(1, 12) if max(height, width) > TILE * 2 ** (power - 1)]
            file.build_overviews(factors, Resampling.average)


def _profile(pixels: Array, form: Form, labels: Labels) -> dict[str, Any]:
    import rasterio

    count, height, width = pixels.shape
    # What a COG is copied from is thrown away.
    compress = "none" if form.driver == "COG" else form.compress
    options: dict[str, Any] = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": form.dtype.name}
    options |= {"interleave": "band", "tiled": True, "blockxsize": TILE, "blockysize": TILE, "BIGTIFF": "IF_SAFER"}
    options |= {"photometric": "rgb" if labels.interpretation[:3] == ("red", "green", "blue") else "minisblack"}
    options |= {"ALPHA": "NO"} if count > 1 else {}
    if compress != "none":
        options |= {"compress": compress, "predictor": 3 if form.dtype.kind == "f" else 2}
    if form.nodata is not None:
        options["nodata"] = form.nodata
    if labels.grid is not None:
        options["transform"] = rasterio.Affine(*labels.grid.transform)
        options |= {"crs": labels.grid.crs} if labels.grid.crs else {}
    return options


def _label(file: Any, labels: Labels, count: int) -> None:
    for band, name in enumerate(labels.names, 1):
        file.set_band_description(band, name)
    if labels.scaling:
        file.scales, file.offsets = ([pair[place] for pair in labels.scaling] for place in (0, 1))
    if labels.rpc:
        file.update_tags(ns="RPC", **labels.rpc)
    if labels.gcps is not None and labels.grid is None:
        file.gcps = labels.gcps
    file.update_tags(**labels.metadata)


def _optimise(path: Path, form: Form) -> None:
    """Turn a GeoTIFF into a cloud-optimised one."""
    import rasterio.shutil

    cog = path.with_name(path.name + ".cog")
    options = {"compress": form.compress.upper(), "BIGTIFF": "IF_SAFER"}
    if form.compress != "none":
        options["predictor"] = "YES"
    rasterio.shutil.copy(path, cog, driver="COG", **options)
    cog.replace(path)


def _plain(path: Path, pixels: Array, form: Form, labels: Labels) -> None:
    import tifffile

    tags: list[tuple[Any, ...]] = [] if labels.grid is None else _grid_tags(labels.grid)
    if form.nodata is not None:
        tags.append((NODATA, "s", 0, repr(form.nodata), True))
    text = "\n".join(f"{key}={value}" for key, value in labels.metadata.items())
    tifffile.imwrite(
        path,
        pixels,
        photometric="minisblack",
        planarconfig="separate" if len(pixels) > 1 else None,
        metadata=None,
        description=text,
        bigtiff=pixels.nbytes > CLASSIC_LIMIT,
        extratags=tags,
    )


def _grid_tags(grid: Grid) -> list[tuple[Any, ...]]:
    """GeoTIFF's tags of a grid that is not rotated, and of a reference system by its number."""
    a, b, c, d, e, f = grid.transform
    if b or d:
        raise UsageError("a rotated grid is written through rasterio, which is not installed; pip install rasterio")
    tags: list[tuple[Any, ...]] = [(SCALE, "d", 3, (a, -e, 0.0), True), (TIE, "d", 6, (0.0, 0.0, 0.0, c, f, 0.0), True)]
    number = int(grid.crs.partition(":")[2]) if grid.crs.startswith("EPSG:") else 0
    if number:
        # Geographic systems have numbers from 4000 to 4999; model type 2 says so.
        geographic = 4000 <= number < 5000
        keys = (1, 1, 0, 3, 1024, 0, 1, 2 if geographic else 1, RASTER_TYPE, 0, 1, 1, 2048 if geographic else 3072, 0, 1, number)
        tags.append((34735, "H", len(keys), keys, True))
    return tags
