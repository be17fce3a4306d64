"""Fuses a scene with one method: strip by strip, in one piece, or in overlapping tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from waldbench.bench.products.axis import PAD, WorkingAxis, axis_of
from waldbench.bench.products.source import Range, Source
from waldbench.datasets.memory_mapped import MappedScene
from waldbench.imaging import least_squares, streaming, strips, tiling
from waldbench.imaging.strips import Ledger, Merge, Strip
from waldbench.methods.base import Method

# Side of a tile and of its surroundings in low-resolution pixels, for networks.
TILE, OVERLAP = 64, 16
# Low-resolution pixels of an edge that are fused at a time.
PIECE = 128
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
    if method.trainable:
        _tiles(method, _source(scene, phase, PAD, device), write, progress)
        return "overlapping tiles"
    if method.margin is None:
        _strips(method, _source(scene, phase, PAD, device), write, progress)
        return f"in one piece ({method.needs_whole})"
    # A method that looks at single pixels only meets no border.
    ledger, passes = _strips(method, _source(scene, phase, 0, device), write, progress)
    if method.margin and ledger.additive:
        _edges(method, _source(scene, phase, PAD, device), ledger, write)
    elif method.margin:
        _, passes = _strips(method, _source(scene, phase, PAD, device), write, progress)
    return f"in strips, {passes} pass(es)"


def _source(scene: MappedScene, phase: str, pad: int, device: torch.device) -> Source:
    placed, ratio, low = scene.placed, scene.sensor.ratio, scene.ms.image.shape[1:]
    rows, columns = (
        WorkingAxis(axis_of(axis, ratio, phase), size, first, high, ratio, pad)
        for axis, size, first, high in (
            (placed.rows, low[0], placed.top, placed.height),
            (placed.columns, low[1], placed.left, placed.width),
        )
    )
    return Source(scene, rows, columns, device)


# How statistics grow with the number of pixels, as powers of it, by the way in which strips are merged: sums; triangular factors,
# whose squares are sums; extremes, which do not grow.
GROWTH: dict[Merge, float] = {torch.add: 1.0, least_squares.merge: 0.5, torch.minimum: 0.0, torch.maximum: 0.0}


@dataclass
class Sums(Ledger):
    """A ledger that knows whether all statistics can be scaled to a part of the image."""

    additive: bool = True

    @override
    def ask(self, contribution: Tensor, merge: Merge) -> Tensor:
        self.additive &= merge in GROWTH
        return super().ask(contribution, merge)


@dataclass
class Given(Ledger):
    """The statistics of a whole image, for a part of it: scaled to the number of pixels of the part."""

    share: float = 1.0

    @override
    def ask(self, contribution: Tensor, merge: Merge) -> Tensor:
        self.number += 1
        return self.known[self.number - 1] * self.share ** GROWTH[merge]


def _strips(method: Method, source: Source, write: Write, progress: Progress) -> tuple[Sums, int]:
    """Fuse strip by strip until the statistics are settled; returns them, and the number of passes."""
    height, columns, margin = source.rows.count, source.columns, method.margin or 0
    elements = len(source.scene.ms.image) * columns.count * source.ratio**2
    rows = height if method.margin is None else streaming.strip_rows(elements, height, margin)
    parts = list(strips.cut(height, rows, margin))
    kept = columns.kept(0, columns.count)
    ledger = Sums()
    for number in range(1, strips.PASSES + 1):
        for done, (first, count, top, bottom) in enumerate(parts):
            images, valid = source.load((first, count), (0, columns.count))
            with strips.within(Strip(height, first, count, top, bottom, ledger)):
                fused = method(*images)[0]
            # With provisional statistics there is nothing worth writing.
            if len(parts) == 1 or ledger.number <= len(ledger.known):
                _put(write, source, fused, valid, (top, (first + top) % height, bottom - top), kept)
            progress(number, done + 1, len(parts))
        if ledger.close() or len(parts) == 1:
            return ledger, number
    raise strips.UnsettledError(f"statistics of the image still change after {strips.PASSES} passes; fuse the image as a whole")


def _edges(method: Method, source: Source, ledger: Sums, write: Write) -> None:
    """Fuse the edges again, with mirrored surroundings and the statistics of the whole: methods take the far edge for near."""
    pad, margin = source.rows.pad, method.margin or 0
    edge, context = pad + max(pad, margin), margin + pad
    height, width = source.rows.count, source.columns.count
    real = (height - 2 * pad) * (width - 2 * pad)
    ends = [[(0, min(edge, size)), (max(size - edge, 0), size)] for size in (height, width)]
    pieces = [[(at, min(at + PIECE, size)) for at in range(0, size, PIECE)] for size in (height, width)]
    for rows, columns in [*product(ends[0], pieces[1]), *product(pieces[0], ends[1])]:
        (top, count), (left, number) = _wider(rows, context, height), _wider(columns, context, width)
        images, valid = source.load((top, count), (left, number))
        given = Given(known=ledger.known, share=count * number / real)
        with strips.within(Strip(count, 0, count, 0, count, given)):
            fused = method(*images)[0]
        low, end, place = source.columns.kept(columns[0], columns[1] - columns[0])
        start = (columns[0] - left) * source.ratio
        own = (rows[0] - top, rows[0], rows[1] - rows[0])
        _put(write, source, fused, valid, own, (start + low, start + end, place))


def _wider(piece: Range, context: int, size: int) -> Range:
    """First and count of a piece, given by first and last + 1, with what its filters need around it."""
    first, end = max(piece[0] - context, 0), min(piece[1] + context, size)
    return first, end - first


def _put(write: Write, source: Source, fused: Tensor, valid: Array | None, rows: Place, columns: Place) -> None:
    """Write those rows of a strip that are its own and lie in the window."""
    top, first, count = rows
    low, end, place = source.rows.kept(first, count)
    if end <= low or columns[1] <= columns[0]:
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
