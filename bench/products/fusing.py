"""Fuses a scene with one method: strip by strip, in one piece, or in overlapping tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from waldbench.bench.products.axis import PAD, WorkingAxis, axis_of
from waldbench.bench.products.source import Source
from waldbench.datasets.memory_mapped import MappedScene
from waldbench.imaging import streaming, strips, tiling
from waldbench.imaging.strips import Ledger, Strip
from waldbench.methods.base import Method

# Side of a tile and of its surroundings in low-resolution pixels, for networks.
TILE, OVERLAP = 64, 16
Array = np.ndarray[Any, np.dtype[Any]]
# Called with the fused pixels (C, h, w), which of them have data, and their first row and column in the window of PAN.
Write = Callable[[Tensor, Array | None, int, int], None]
# Called with the number of the pass, and how many of how many parts of it are done.
Progress = Callable[[int, int, int], None]
Place = tuple[int, int, int]


def fuse(method: Method, scene: MappedScene, phase: str, write: Write, progress: Progress, device: torch.device) -> str:
    """Fuse a scene by the way that suits the method.

    Args:
        method: the method, on `device`.
        scene: the scene; `scene.placed` says which window of PAN is fused.
        phase: "wald" or "centre".
        write: takes the fused pixels; a later call for the same pixels corrects the earlier.
        progress: is told how far it is.
        device: where it is fused.

    Returns:
        How it was fused, for the user.
    """
    placed, ratio = scene.placed, scene.sensor.ratio
    # A method that looks at single pixels only meets no border.
    pad = 0 if method.margin == 0 and not method.trainable else PAD
    low = scene.ms.image.shape[1:]
    rows, columns = (
        WorkingAxis(axis_of(axis, ratio, phase), size, first, high, ratio, pad)
        for axis, size, first, high in (
            (placed.rows, low[0], placed.top, placed.height),
            (placed.columns, low[1], placed.left, placed.width),
        )
    )
    source = Source(scene, rows, columns, device)
    if method.trainable:
        _tiles(method, source, write, progress)
        return "overlapping tiles"
    passes = _strips(method, source, write, progress)
    return f"in one piece ({method.needs_whole})" if method.margin is None else f"in strips, {passes} pass(es)"


def _strips(method: Method, source: Source, write: Write, progress: Progress) -> int:
    height, columns, margin = source.rows.count, source.columns, method.margin or 0
    bands = len(source.scene.ms.image)
    elements = bands * columns.count * source.ratio**2
    rows = height if method.margin is None else streaming.strip_rows(elements, height, margin)
    number = 0
    kept = columns.kept(0, columns.count)

    def run(ledger: Ledger) -> None:
        nonlocal number
        number += 1
        parts = list(strips.cut(height, rows, margin))
        for done, (first, count, top, bottom) in enumerate(parts):
            strip = Strip(height, first, count, top, bottom, ledger)
            images, valid = source.load((first, count), (0, columns.count))
            with strips.within(strip):
                fused = method(*images)[0]
            # With provisional statistics there is nothing worth writing.
            if rows >= height or ledger.number <= len(ledger.known):
                own = (first + top) % height, bottom - top
                _put(write, source, fused, valid, (top, *own), kept)
            progress(number, done + 1, len(parts))

    if rows >= height:
        run(Ledger())
        return 1
    return strips.passes(run)


def _put(write: Write, source: Source, fused: Tensor, valid: Array | None, rows: Place, columns: Place) -> None:
    """Write those rows of a strip that are its own and lie in the window."""
    top, first, count = rows
    low, end, place = source.rows.kept(first, count)
    if end <= low:
        return
    down = slice(top * source.ratio + low, top * source.ratio + end)
    across = slice(columns[0], columns[1])
    write(fused[:, down, across], None if valid is None else valid[down, across], place, columns[2])


def _tiles(method: Method, source: Source, write: Write, progress: Progress) -> None:
    r = source.ratio
    parts = [
        (rows, columns)
        for rows in tiling.windows(source.rows.count, TILE, OVERLAP)
        for columns in tiling.windows(source.columns.count, TILE, OVERLAP)
    ]
    for done, (rows, columns) in enumerate(parts):
        ranges = [(one[0], one[3] - one[0]) for one in (rows, columns)]
        images, valid = source.load(ranges[0], ranges[1])
        fused = method(*images)[0]
        low, end, place = source.columns.kept(columns[1], columns[2] - columns[1])
        if end > low:
            start = (columns[1] - columns[0]) * r
            own = (rows[1] - rows[0], rows[1], rows[2] - rows[1])
            _put(write, source, fused, valid, own, (start + low, start + end, place))
        progress(1, done + 1, len(parts))
