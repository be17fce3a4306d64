"""Windows of a scene on the working grid: ms, lms and guide as methods take them, and which pixels have data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from waldbench.bench.products.axis import WorkingAxis
from waldbench.datasets.filling import agreed, fill
from waldbench.datasets.memory_mapped import MappedScene
from waldbench.datasets.user_files import REACH

Array = np.ndarray[Any, np.dtype[Any]]
Range = tuple[int, int]


class Source:
    """Reads windows of the working grid.

    Args:
        scene: the scene.
        rows: its rows on the working grid.
        columns: its columns.
        device: where tensors are wanted.
    """

    def __init__(self, scene: MappedScene, rows: WorkingAxis, columns: WorkingAxis, device: torch.device) -> None:
        self.scene, self.rows, self.columns, self.device = scene, rows, columns, device
        self.ratio = rows.ratio
        self.masked = any(seen.invalid for seen in scene.surveys.values())
        self.under = (rows.under().numpy(), columns.under().numpy()) if self.masked else None

    def load(self, rows: Range, columns: Range) -> tuple[tuple[Tensor, Tensor, Tensor], Array | None]:
        """Images of a window given by first and count of its low-resolution rows and columns; rows are read circularly.

        Returns:
            ms (1, C, h, w), lms (1, C, H, W) and guide (1, 1, H, W), float32, and which pixels of the guide have data (H, W),
            None where all have.
        """
        parts, first, count = [], rows[0], rows[1]
        while count:
            first %= self.rows.count
            number = min(count, self.rows.count - first)
            parts.append(self._load((first, number), columns))
            first, count = first + number, count - number
        if len(parts) == 1:
            return parts[0]
        images = tuple(torch.cat([part[0][place] for part in parts], -2) for place in range(3))
        masks = [part[1] for part in parts]
        if all(mask is None for mask in masks):
            return (images[0], images[1], images[2]), None
        known = [np.ones(p[0][2].shape[-2:], bool) if mask is None else mask for p, mask in zip(parts, masks, strict=True)]
        return (images[0], images[1], images[2]), np.concatenate(known)

    def _load(self, rows: Range, columns: Range) -> tuple[tuple[Tensor, Tensor, Tensor], Array | None]:
        down, across = self.rows.needed(*rows), self.columns.needed(*columns)
        high = self.rows.window(*rows), self.columns.window(*columns)
        if self.masked:
            low, pan, valid = self._filled(down, across, high)
        else:
            low = self.scene.ms.window(slice(*down), slice(*across))[0]
            (top, bottom), (left, right) = (_ends(index) for index in high)
            window = self._pan(slice(top, bottom), slice(left, right))[0]
            pan, valid = _taken(window, high[0] - top, high[1] - left), None
        ms, guide = self._tensor(low), self._tensor(pan)
        r = self.ratio
        wide = self.columns.upward.across(ms, across[0], columns[0] * r, columns[1] * r)
        lms = self.rows.upward.down(wide, down[0], rows[0] * r, rows[1] * r)
        narrow = self.columns.resampled.across(ms, across[0], *columns)
        return (self.rows.resampled.down(narrow, down[0], *rows), lms, guide), valid

    def _pan(self, rows: slice, columns: slice) -> tuple[Array, Array | None]:
        """A part of the window of PAN."""
        top, left = self.rows.first, self.columns.first
        return self.scene.pan.window(slice(top + rows.start, top + rows.stop), slice(left + columns.start, left + columns.stop))

    def _tensor(self, pixels: Array) -> Tensor:
        # A copy: torch wants neither read-only memory nor another machine's byte order.
        image = torch.from_numpy(np.array(pixels, pixels.dtype.newbyteorder("="), order="C"))[None]
        image = image.to(self.device, torch.float32)
        return image * self.scene.factor if self.scene.factor != 1 else image

    def _filled(self, down: Range, across: Range, high: tuple[Tensor, Tensor]) -> tuple[Array, Array, Array]:
        """MS and PAN of the parts that are asked for with values in their gaps, and which pixels of PAN have data."""
        assert self.under is not None
        boxes = [
            _box(axis, under, need, index)
            for axis, under, need, index in zip((self.rows, self.columns), self.under, (down, across), high, strict=True)
        ]
        (low_rows, pan_rows), (low_columns, pan_columns) = boxes
        ms, known = self.scene.ms.window(slice(*low_rows), slice(*low_columns))
        pan, seen = self._pan(slice(*pan_rows), slice(*pan_columns))
        of_rows = self.under[0][slice(*pan_rows)] - low_rows[0]
        of_columns = self.under[1][slice(*pan_columns)] - low_columns[0]
        low, wide = agreed(known, seen, of_rows, of_columns, ms.shape[1:])
        surveys = self.scene.surveys
        if not low.all():
            ms = fill(ms, low, surveys["ms"].mean, REACH)
        if not wide.all():
            pan = fill(pan, wide, surveys["pan"].mean, REACH * self.ratio)
        ms = ms[:, down[0] - low_rows[0] : down[1] - low_rows[0], across[0] - low_columns[0] : across[1] - low_columns[0]]
        rows, columns = high[0] - pan_rows[0], high[1] - pan_columns[0]
        return ms, _taken(pan, rows, columns), wide[np.ix_(rows.numpy(), columns.numpy())]


def _ends(index: Tensor) -> Range:
    return int(index.min()), int(index.max()) + 1


def _box(axis: WorkingAxis, under: Array, need: Range, index: Tensor) -> tuple[Range, Range]:
    """MS samples and PAN samples to be read so that every gap among those needed is filled as it would be in the whole image."""
    top, bottom = _ends(index)
    low = min(need[0], int(under[top])) - REACH, max(need[1], int(under[bottom - 1]) + 1) + REACH
    low = max(low[0], 0), min(low[1], axis.low)
    inside = np.flatnonzero((under >= low[0]) & (under < low[1]))
    return low, (int(inside[0]), int(inside[-1]) + 1)


def _taken(window: Array, rows: Tensor, columns: Tensor) -> Array:
    """Rows and columns of a window by index; the window itself where it is asked for as it is."""
    for axis, index in ((1, rows), (2, columns)):
        if not (len(index) == window.shape[axis] and bool((index == torch.arange(len(index))).all())):
            window = np.take(window, index.numpy(), axis)
    return window
