"""The file of a product: pixels are collected in a scratch file, then written as they were asked for, and only then named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from waldbench.bench.errors import UsageError
from waldbench.bench.products.labels import Labels

Array = np.ndarray[Any, np.dtype[Any]]
TILE = 256
# Rows that are copied from the scratch file at a time.
ROWS = 4 * TILE
# Classic TIFF ends at 4 GiB; some room for tags.
CLASSIC_LIMIT = 2**32 - 2**25
# Called with how many of how many rows are copied.
Copied = Callable[[int, int], None]


@dataclass(frozen=True)
class Form:
    """How a product is written.

    Attributes:
        dtype: type of the pixels.
        nodata: value of pixels without data; None: they are masked, or there are none.
        compress: deflate, zstd, lzw or none.
        driver: GTiff or COG.
        overviews: whether smaller copies of the image are added; COG always has them.
        factor: what digital numbers are divided by.
    """

    dtype: np.dtype[Any]
    nodata: float | None = None
    compress: str = "deflate"
    driver: str = "GTiff"
    overviews: bool = False
    factor: float = 1.0


@dataclass
class Scratch:
    """Pixels of an image (C, H, W) in a file that is written in any order, and never mapped as it is written."""

    file: int
    shape: tuple[int, ...]
    form: Form
    invalid: Array | None = None
    buffer: Array = field(default_factory=lambda: np.empty(0))

    def write(self, image: Tensor, valid: Array | None, top: int, left: int) -> None:
        """Put pixels (C, h, w) at a row and column; the content of `image` is used up."""
        window = self._typed(image.cpu(), valid)
        if valid is not None and self.form.nodata is None:
            self._mask(valid, top, left)
        _, height, width = self.shape
        for number, band in enumerate(window):
            lines = [band] if band.shape[1] == width else list(band)
            for row, line in enumerate(lines):
                first = (number * height + top + row) * width + left
                _put(self.file, np.ascontiguousarray(line).data.cast("B"), first * window.itemsize)

    def _typed(self, image: Tensor, valid: Array | None) -> Array:
        """Pixels in the type of the file: integers are rounded and saturate, no valid pixel takes the value of nodata."""
        form = self.form
        if form.factor != 1:
            image = image / form.factor
        if self.buffer.size < image.numel() or self.buffer.dtype != form.dtype:
            self.buffer = np.empty(image.numel(), form.dtype)
        window = self.buffer[: image.numel()].reshape(image.shape)
        if form.dtype.kind in "ui":
            limits = np.iinfo(form.dtype)
            # Single precision holds no limit of 32 bits exactly.
            wide = image.double() if form.dtype.itemsize > 2 else image
            np.copyto(window, wide.round_().clamp_(limits.min, limits.max).numpy(), casting="unsafe")
        else:
            np.copyto(window, image.numpy(), casting="same_kind")
        if form.nodata is not None and not np.isnan(form.nodata):
            window[window == form.nodata] = _beside(form.nodata, form.dtype)
        if valid is not None and form.nodata is not None:
            window[:, ~valid] = form.nodata
        return window

    def _mask(self, valid: Array, top: int, left: int) -> None:
        if self.invalid is None:
            self.invalid = np.zeros(self.shape[1:], bool)
        self.invalid[top : top + valid.shape[0], left : left + valid.shape[1]] = ~valid


def _beside(nodata: float, dtype: np.dtype[Any]) -> float:
    """The value nearest to nodata that a valid pixel may take instead."""
    if dtype.kind == "f":
        return float(np.nextafter(dtype.type(nodata), dtype.type(np.inf)))
    return nodata + 1 if nodata < np.iinfo(dtype).max else nodata - 1


def _put(file: int, content: memoryview, place: int) -> None:
    while content:
        done = os.pwrite(file, content, place)
        content, place = content[done:], place + done


@contextmanager
def product(output: Path, shape: tuple[int, ...], form: Form, labels: Labels, progress: Copied) -> Iterator[Scratch]:
    """A file that appears under its name only once it is complete; yields where its pixels are to be written.

    Args:
        output: FILE.tif, .tiff or .npy.
        shape: (C, H, W).
        form: how it is written.
        labels: what it says of its pixels.
        progress: is told how many of how many rows are copied at the end.

    Raises:
        UsageError: if it cannot be written as asked; nothing is left behind.
    """
    scratch = output.with_name(f".{output.stem}.partial{output.suffix}")
    final = output.with_name(f".{output.stem}.writing{output.suffix}")
    try:
        with scratch.open("w+b") as stream:
            os.ftruncate(stream.fileno(), int(np.prod(shape, dtype=np.int64)) * form.dtype.itemsize)
            collected = Scratch(stream.fileno(), shape, form)
            yield collected
            pixels = np.memmap(scratch, form.dtype, "r", shape=shape)
            _write(final, pixels, collected.invalid, form, labels, progress)
        final.replace(output)
    finally:
        for path in (scratch, final, final.with_name(final.name + ".cog"), final.with_name(final.name + ".aux.xml")):
            path.unlink(missing_ok=True)


def _write(path: Path, pixels: Array, invalid: Array | None, form: Form, labels: Labels, progress: Copied) -> None:
    if path.suffix.lower() == ".npy":
        with path.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, {"descr": form.dtype.str, "fortran_order": False, "shape": pixels.shape})
            for band in pixels:
                band.tofile(stream)
        return
    from waldbench.bench.products import geotiff

    geotiff.write(path, pixels, invalid, form, labels, progress)


def check_form(form: Form, output: Path) -> None:
    """Raise UsageError if this machine cannot write such a file."""
    from waldbench.datasets import gdal_files

    plain = form.driver == "GTiff" and not form.overviews
    if form.driver == "COG" and form.compress == "none":
        raise UsageError("--format COG is compressed: GDAL leaves its layout out without; give --compress deflate, zstd or lzw")
    if output.suffix.lower() == ".npy" and not plain:
        raise UsageError("--format COG and --overviews are of GeoTIFF; give --output FILE.tif")
    if output.suffix.lower() != ".npy" and not gdal_files.available() and not (plain and form.compress == "none"):
        raise UsageError("--format COG, --overviews, compression: pip install rasterio; or give --compress none")
