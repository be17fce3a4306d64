"""Fusing scenes tile by tile, for networks: unlike strips, tiles need not give what the whole image gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from waldbench.imaging.resampling import interp23
from waldbench.imaging.streaming import check_sizes

Array = np.ndarray[Any, np.dtype[Any]]
# Low-resolution pixels around a tile that the interpolation of its lms needs.
REACH = 12


def fuse(
    function: Callable[[Tensor, Tensor, Tensor], Tensor],
    ms: Array,
    guide: Array,
    write: Callable[[int, int, Tensor], None],
    *,
    tile: int = 64,
    overlap: int = 16,
    device: torch.device | str = "cpu",
) -> None:
    """Fuse overlapping tiles of a scene and keep the middle of each.

    Args:
        function: `fuse(ms, lms, guide)` on batches of one, float32.
        ms: low-resolution image (C, h, w), any real type.
        guide: (G, H, W), H and W being h and w times one integer.
        write: called with first row, first column and the fused tile (C, rows, columns).
        tile: side of a tile in low-resolution pixels.
        overlap: low-resolution pixels around a tile that are fused with it and thrown away.
        device: where the tiles are fused.

    Raises:
        ValueError: if the images do not fit each other or hold NaN or infinite values.
    """
    ratio = check_sizes(ms, guide)
    for rows in windows(ms.shape[1], tile, overlap):
        for columns in windows(ms.shape[2], tile, overlap):
            low, lms, sharp = (image.to(device) for image in _images(ms, guide, ratio, rows, columns))
            fused = function(low, lms, sharp)[0]
            (top, left), (below, right) = (
                ((own - start) * ratio for start, own, _, _ in (rows, columns)),
                ((end - start) * ratio for start, _, end, _ in (rows, columns)),
            )
            write(rows[1] * ratio, columns[1] * ratio, fused[:, top:below, left:right])


def windows(size: int, tile: int, overlap: int) -> Iterator[tuple[int, int, int, int]]:
    """First pixel with overlap, first and last + 1 of its own, last + 1 with overlap; all windows as large where it fits."""
    full = tile + 2 * overlap
    for own in range(0, size, tile):
        start = max(0, min(own - overlap, size - full))
        yield start, own, min(own + tile, size), min(start + full, size)


def _images(
    ms: Array, guide: Array, ratio: int, rows: tuple[int, int, int, int], columns: tuple[int, int, int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    (top, bottom), (left, right) = (rows[0], rows[3]), (columns[0], columns[3])
    wide_rows = np.arange(top - REACH, bottom + REACH) % ms.shape[1]
    wide_columns = np.arange(left - REACH, right + REACH) % ms.shape[2]
    wide = torch.from_numpy(ms[:, wide_rows][:, :, wide_columns].astype(np.float32))[None]
    window = guide[:, top * ratio : bottom * ratio, left * ratio : right * ratio]
    sharp = torch.from_numpy(window.astype(np.float32))[None]
    if not bool(torch.isfinite(wide).all()) or not bool(torch.isfinite(sharp).all()):
        raise ValueError("the scene has NaN or infinite values; fill or mask them before fusion")
    lms = interp23(wide, ratio)[..., REACH * ratio : -REACH * ratio, REACH * ratio : -REACH * ratio]
    return wide[..., REACH:-REACH, REACH:-REACH], lms, sharp
