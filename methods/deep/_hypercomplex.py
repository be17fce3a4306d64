"""Q2n for a loss: rounded to integers as the index is, or differentiable (Garzelli, Nencini, IEEE GRSL 6(4), 2009)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 32
EPS = 2.0**-52


def q2n(image: Tensor, reference: Tensor, *, rounded: bool, block: int = BLOCK) -> Tensor:
    """Mean Q2n over all blocks of all images, float64.

    Args:
        image: (B, C, h, w) in digital numbers, h and w at least half a block.
        reference: of the same shape.
        rounded: round both to integers first, as the index does, after which there is no gradient.
        block: side of the blocks in pixels.
    """
    parts = (part.double() for part in (reference, image))
    x, y = (_blocks(part.round() if rounded else part, block) for part in parts)
    pixels = x.shape[1]
    mean, scatter = x.mean(1, keepdim=True), x.var(1, keepdim=True)
    deviation = torch.where(scatter > 0, scatter, EPS**2).sqrt()
    # The index does not divide the test image where the reference's mean is zero.
    x, y = (x - mean) / deviation + 1, (y - mean) / torch.where(mean == 0, 1.0, deviation) + 1
    return _quality(_padded(x), conjugate(_padded(y)), pixels).mean()


def product(a: Tensor, b: Tensor) -> Tensor:
    """Product of hypercomplex numbers a = [p, q] and b = [r, s], (..., 2^n): [p r - s* q, p* s* + r q*]."""
    if a.shape[-1] == 1:
        return a * b
    (p, q), (r, s) = a.chunk(2, -1), b.chunk(2, -1)
    return torch.cat(
        [product(p, r) - product(conjugate(s), q), product(conjugate(p), conjugate(s)) + product(r, conjugate(q))], -1
    )


def conjugate(a: Tensor) -> Tensor:
    """The number with all components but the first negated."""
    return torch.cat([a[..., :1], -a[..., 1:]], -1)


def _quality(x: Tensor, y: Tensor, pixels: int) -> Tensor:
    """Q2n of blocks of normalised numbers (N, pixels, 2^n)."""
    mean_x, mean_y = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    x, y = x - mean_x, y - mean_y
    power_x, power_y = mean_x.square().sum((1, 2)), mean_y.square().sum((1, 2))
    bias = 2 * (power_x * power_y).sqrt() / (power_x + power_y)
    variance = (x.square() + y.square()).sum((1, 2)) / (pixels - 1)
    modulus = torch.linalg.vector_norm(product(x, y).sum(1), dim=1) / (pixels - 1)
    return torch.where(variance > 0, bias * 2 * modulus / torch.where(variance > 0, variance, 1.0), bias)


def _padded(x: Tensor) -> Tensor:
    """Blocks with as many components as the next power of two, each as a band of zeros comes out of the normalisation: 1."""
    bands = x.shape[-1]
    return functional.pad(x, (0, (1 << (bands - 1).bit_length()) - bands), value=1.0)


def _blocks(image: Tensor, block: int) -> Tensor:
    """Blocks (N, block * block, C) of an image whose last rows and columns are mirrored to whole blocks."""
    for axis in (-1, -2):
        size = image.shape[axis]
        extra = -size % block
        if extra:
            image = torch.cat([image, image.narrow(axis, size - extra, extra).flip(axis)], axis)
    return functional.unfold(image, block, stride=block).unflatten(1, (image.shape[1], -1)).permute(0, 3, 2, 1).flatten(0, 1)
