"""One method, one scene in files, one fused file; large scenes are streamed."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from waldbench import methods
from waldbench.bench.environment import choose_device
from waldbench.bench.errors import UsageError
from waldbench.bench.screen import console
from waldbench.bench.weights import load_weights
from waldbench.datasets.base import DatasetError
from waldbench.datasets.memory_mapped import MappedScene, open_mapped
from waldbench.imaging import streaming, tiling
from waldbench.methods.base import Method

# GeoTIFF's pixel scale, tie points, transformation and keys: the fused image lies on the grid of PAN.
GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737)
# Classic TIFF ends at 4 GiB; some room for tags.
CLASSIC_LIMIT = 2**32 - 2**25
Array = np.ndarray[Any, np.dtype[Any]]


def sharpen(options: argparse.Namespace) -> int:
    """Fuse the scene into `options.output`; returns 0.

    Raises:
        UsageError: if scene, method, weights or output cannot be used as asked.
    """
    key, output = _checked(options)
    out = console()
    try:
        scene = open_mapped(options.dataset[0].removeprefix("scene:"), options.sensor)
        device = choose_device(options.device)
    except (DatasetError, ValueError, RuntimeError) as error:
        raise UsageError(str(error)) from error
    for notice in scene.notices if not options.quiet else ():
        out.print(f"note: {notice}", soft_wrap=True)
    method = _method(key, scene, options.weights).to(device)
    if options.threads:
        torch.set_num_threads(options.threads)
    started = time.monotonic()
    shape = (len(scene.ms), *scene.pan.shape[1:])
    try:
        with _file(output, shape, _type(scene.ms.dtype), scene.files[-1]) as write, torch.inference_mode():
            how = _fuse(method, scene, write, device)
    except (ValueError, OSError) as error:
        raise UsageError(f"{output} not written: {error}") from error
    if not options.quiet:
        size = "x".join(map(str, shape))
        seconds = time.monotonic() - started
        out.print(f"{key}, {scene.sensor.title}, {how}: {output} ({size}), {seconds:.1f} s", soft_wrap=True)
    return 0


def _checked(options: argparse.Namespace) -> tuple[str, Path]:
    if len(options.methods) != 1 or len(options.dataset) != 1 or not options.dataset[0].startswith("scene:"):
        raise UsageError("sharpen needs one method and one scene: --methods gsa --dataset scene:MS.tif,PAN.tif")
    if options.output is None or options.output.suffix.lower() not in {".tif", ".tiff", ".npy"}:
        raise UsageError(f"sharpen needs --output FILE.tif (or .tiff, .npy), got {options.output}")
    if not options.output.parent.is_dir():
        raise UsageError(f"--output: no such folder: {options.output.parent}")
    if options.output.exists() and not options.force:
        raise UsageError(f"--output: {options.output} exists; give --force to replace it")
    methods.card(options.methods[0])
    return options.methods[0], options.output


def _method(key: str, scene: MappedScene, weights: str | None) -> Method:
    reason = methods.supports(key, scene.sensor, "ms")
    if reason:
        raise UsageError(reason)
    method = methods.create(key, sensor=scene.sensor).eval()
    if method.trainable and weights is None:
        raise UsageError(f"{key} is a network: give --weights FILE.safetensors of a run on images of this sensor")
    if weights is not None:
        load_weights(method, Path(weights))
    return method


def _fuse(method: Method, scene: MappedScene, write: Callable[..., None], device: torch.device) -> str:
    """Fuse by the way that suits the method; returns its description."""
    if method.trainable:
        tiling.fuse(method, scene.ms, scene.pan, lambda top, left, rows: write(rows, top, left), device=device)
        return "overlapping tiles"
    rows = scene.ms.shape[1] if method.margin is None else None
    passes = streaming.fuse(
        method, scene.ms, scene.pan, lambda top, rows: write(rows, top), margin=method.margin or 0, rows=rows, device=device
    )
    return f"in one piece ({method.needs_whole})" if method.margin is None else f"in strips, {passes} pass(es)"


def _type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Type of the fused file: that of MS; floating-point images become float32."""
    return dtype.newbyteorder("=") if np.issubdtype(dtype, np.integer) else np.dtype(np.float32)


@contextmanager
def _file(output: Path, shape: tuple[int, ...], dtype: np.dtype[Any], like: Path) -> Iterator[Callable[..., None]]:
    """A file that appears under its name only once it is complete; yields `write(image (C, h, w), top, left=0)`."""
    partial = output.with_name(f".{output.stem}.partial{output.suffix}")
    try:
        offset = _create(partial, shape, dtype, like)
        with partial.open("r+b") as stream:
            yield _Writer(stream.fileno(), offset, shape, dtype)
            os.fsync(stream.fileno())
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


class _Writer:
    """Writes windows of an image (C, H, W) into an open file, without ever mapping the file into memory."""

    def __init__(self, file: int, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.file, self.offset, self.shape = file, offset, shape
        self.buffer = np.empty(0, dtype)

    def __call__(self, image: torch.Tensor, top: int, left: int = 0) -> None:
        image = image.cpu()
        if self.buffer.size < image.numel():
            self.buffer = np.empty(image.numel(), self.buffer.dtype)
        window = self.buffer[: image.numel()].reshape(image.shape)
        streaming.store(window, 0, image)
        _, height, width = self.shape
        for number, band in enumerate(window):
            lines = [band] if band.shape[1] == width else list(band)
            for row, line in enumerate(lines):
                first = (number * height + top + row) * width + left
                self._put(memoryview(line).cast("B"), self.offset + first * self.buffer.itemsize)

    def _put(self, content: memoryview, place: int) -> None:
        while content:
            done = os.pwrite(self.file, content, place)
            content, place = content[done:], place + done


def _create(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], like: Path) -> int:
    """Create an empty image file and return where its pixels begin."""
    if path.suffix.lower() == ".npy":
        return int(np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape).offset)
    import tifffile

    return int(
        tifffile.memmap(
            path,
            shape=shape,
            dtype=dtype,
            photometric="minisblack",
            planarconfig="separate",
            metadata=None,
            bigtiff=np.prod(shape, dtype=np.int64) * dtype.itemsize > CLASSIC_LIMIT,
            extratags=_geo_tags(like),
        ).offset
    )


def _geo_tags(path: Path) -> list[tuple[int, int, int, Any, bool]]:
    if path.suffix.lower() not in {".tif", ".tiff"}:
        return []
    import tifffile

    with tifffile.TiffFile(path) as file:
        tags = file.pages.first.tags
        return [(code, int(tags[code].dtype), tags[code].count, tags[code].value, True) for code in GEO_TAGS if code in tags]
