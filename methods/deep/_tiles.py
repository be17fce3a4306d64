"""Large images in tiles, for networks whose attention sees all pixels of an image at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

# Low-resolution pixels around a tile that are fused with it and thrown away, as far as the image goes.
MARGIN = 1


def fuse_in_tiles(
    fuse: Callable[[Tensor, Tensor, Tensor], Tensor], images: tuple[Tensor, Tensor, Tensor], ratio: int, side: int
) -> Tensor:
    """Fuse images in tiles of at most side x side low-resolution pixels and their margin.

    Args:
        fuse: maps ms (B, C, h, w), lms (B, C, H, W) and guide (B, G, H, W) to (B, C, H, W).
        images: ms, lms and guide. Images of one tile have no margin.
        ratio: H / h.
        side: of a tile; the last tile of a row or a column may be smaller.

    Returns:
        (B, C, H, W).
    """

    def fused(rows: tuple[slice, slice], columns: tuple[slice, slice]) -> Tensor:
        windows = [image[..., _scaled(rows[0], r), _scaled(columns[0], r)] for image, r in zip(images, scales, strict=True)]
        return fuse(*windows)[..., _scaled(rows[1], ratio), _scaled(columns[1], ratio)]

    scales = (1, ratio, ratio)
    height, width = images[0].shape[-2:]
    bands = [torch.cat([fused(rows, columns) for columns in _windows(width, side)], 3) for rows in _windows(height, side)]
    return torch.cat(bands, 2)


def _windows(length: int, side: int) -> Iterator[tuple[slice, slice]]:
    """Where in the image each tile and its margin lie, and where in that window the tile."""
    for start in range(0, length, side):
        first, stop = max(start - MARGIN, 0), min(start + side, length)
        yield slice(first, min(stop + MARGIN, length)), slice(start - first, stop - first)


def _scaled(part: slice, factor: int) -> slice:
    return slice(part.start * factor, part.stop * factor)
