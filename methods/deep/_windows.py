"""Windows of pixels for attention: partition, the mask of shifted windows, relative positions (Liu et al., ICCV, 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

# A logit this low leaves a pixel out of the softmax.
FORBIDDEN = -100.0


def partition(x: Tensor, size: int) -> Tensor:
    """Split x (B, C, H, W), H and W multiples of size, into tokens (B, windows, size * size, C)."""
    batch, channels, height, width = x.shape
    x = x.view(batch, channels, height // size, size, width // size, size)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, size * size, channels)


def join(tokens: Tensor, height: int, width: int) -> Tensor:
    """The image (B, C, height, width) of tokens (B, windows, size * size, C)."""
    batch, _, area, channels = tokens.shape
    size = round(area**0.5)
    x = tokens.view(batch, height // size, width // size, size, size, channels)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, height, width)


def shift_mask(height: int, width: int, size: int, shift: int, like: Tensor) -> Tensor:
    """Logits (windows, size * size, size * size) that keep pixels apart which only a cyclic shift has brought together."""
    region = [
        torch.bucketize(torch.arange(side), torch.tensor([side - size, side - shift]), right=True) for side in (height, width)
    ]
    label = (3 * region[0][:, None] + region[1]).to(like)
    tokens = partition(label[None, None], size)[0, ..., 0]
    return (tokens[:, :, None] != tokens[:, None]).to(like) * FORBIDDEN


def relative_positions(size: int) -> Tensor:
    """Index (size * size, size * size) of every pair of pixels of a window into a table of (2 size - 1)^2 offsets."""
    rows, columns = (axis.flatten() for axis in torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij"))
    down, right = (axis[:, None] - axis + size - 1 for axis in (rows, columns))
    return down * (2 * size - 1) + right
