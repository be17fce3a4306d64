"""Scores of images of which some pixels have no data: no index counts those.

An index of single pixels (`pixelwise` on its card) reads all valid pixels, wherever they lie. Any other index looks through
windows, blocks or filters, which would mix in what is not there: it reads the largest rectangle of valid pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Images = dict[str, Tensor]
# Cells a side of the grid on which the rectangle is looked for; on larger images a cell holds several pixels of ms.
CELLS = 512


def score(function: Callable[[Tensor, Images], Tensor], fused: Tensor, images: Images, valid: Tensor, pixelwise: bool) -> Tensor:
    """Score each image of a batch on what is valid of it.

    Args:
        function: takes fused images and the others by name and returns one value an image.
        fused: fused images (B, C, H, W).
        images: what else the index reads, at the guide's or at ms's resolution.
        valid: which pixels of the guide's grid have data, (B, 1, H, W) bool.
        pixelwise: whether the index depends on single pixels only.

    Returns:
        (B,) values.

    Raises:
        ValueError: if an image has no valid pixel, or too few for the windows of the index.
    """
    values = []
    for i in range(len(fused)):
        one = slice(i, i + 1)
        values.append(_one(function, fused[one], {name: image[one] for name, image in images.items()}, valid[i, 0], pixelwise))
    return torch.cat(values)


def _one(function: Callable[[Tensor, Images], Tensor], fused: Tensor, images: Images, valid: Tensor, pixelwise: bool) -> Tensor:
    if bool(valid.all()):
        return function(fused, images)
    if not bool(valid.any()):
        raise ValueError("the image has no valid pixel: nothing to score")
    if pixelwise:
        return function(fused[..., valid][:, :, None], {name: image[..., valid][:, :, None] for name, image in images.items()})
    step = max(fused.shape[-1] // image.shape[-1] for image in images.values())
    top, left, height, width = largest_rectangle(valid, step)
    cut = {}
    for name, image in {"": fused, **images}.items():
        s = 1 if image.shape[-1] == fused.shape[-1] else step
        cut[name] = image[..., top // s : (top + height) // s, left // s : (left + width) // s]
    try:
        return function(cut.pop(""), cut)
    except ValueError as error:
        raise ValueError(f"the largest rectangle of valid pixels has {height}x{width}: {error}") from error


def largest_rectangle(valid: Tensor, step: int = 1) -> tuple[int, int, int, int]:
    """Top, left, height and width of the largest rectangle of valid pixels.

    Args:
        valid: (H, W) bool.
        step: its sides lie on multiples of so many pixels (of several, where the image has more than `CELLS` steps a side).
    """
    cell = step * max(-(-max(valid.shape) // (step * CELLS)), 1)
    rows, columns = (side // cell for side in valid.shape)
    whole = valid[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell).all(3).all(1).tolist()
    best, heights = (0, 0, 0, 0, 0), [0] * columns
    for row, line in enumerate(whole):
        heights = [height + 1 if good else 0 for height, good in zip(heights, line, strict=True)]
        area, left, height, width = _largest_below(heights)
        best = max(best, (area, row + 1 - height, left, height, width), key=lambda found: found[0])
    if not best[0]:
        raise ValueError(f"no block of {cell}x{cell} valid pixels: too few for an index with windows")
    return best[1] * cell, best[2] * cell, best[3] * cell, best[4] * cell


def _largest_below(heights: list[int]) -> tuple[int, int, int, int]:
    """Area, left, height and width of the largest rectangle in a histogram."""
    best, stack = (0, 0, 0, 0), list[tuple[int, int]]()
    for place, height in enumerate([*heights, 0]):
        left = place
        while stack and stack[-1][1] >= height:
            left, tall = stack.pop()
            best = max(best, (tall * (place - left), left, tall, place - left))
        stack.append((left, height))
    return best
