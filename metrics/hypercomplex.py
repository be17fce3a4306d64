"""Q2n: UIQI of hypercomplex pixels (Garzelli, Nencini, IEEE GRSL 6(4), 2009), for any number of bands.

The pixels of two blocks are vectors of a Cayley-Dickson algebra, one component a band. Their hypercomplex covariance is
bilinear, so it is the ordinary cross-covariance matrix of the bands, summed with signs along its "exclusive or" diagonals.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil

import torch
from torch import Tensor

from waldbench.metrics.base import register
from waldbench.metrics.uiqi import block_rows

EPS = 2.0**-52
# Entries of the sign-sorted covariances that are held at once (64 MiB in float64).
CHUNK = 2**23


@register(
    title="Q2n",
    direction="higher",
    best=1.0,
    convention="DLPan: blocks 32x32, shift 32, mirrored at the end to whole blocks, rounded to uint16 (half away from zero), "
    "each block normalised by mean and n-1 standard deviation of the reference, modulus, mean over blocks",
    reference="Garzelli, Nencini, IEEE GRSL 6(4):662-665, 2009, doi 10.1109/LGRS.2009.2022650",
)
def q2n(fused: Tensor, gt: Tensor, *, block: int = 32, shift: int | None = None) -> Tensor:
    """Q2n index (Q4 for 4 bands, Q8 for 8 bands).

    Images are digital numbers: they are rounded to integers first, so images scaled to [0, 1] give garbage.

    Args:
        fused: fused images (B, C, H, W) in digital numbers.
        gt: ground truth of the same shape.
        block: block side in pixels.
        shift: step between blocks, `block` if None.

    Returns:
        (B,) float64 in [0, 1].

    Raises:
        ValueError: if the image is too small to be mirrored to one block.

    Example:
        >>> import torch
        >>> from waldbench.metrics.hypercomplex import q2n
        >>> gt = torch.tensor([0.0, 0.0, 0.0, 4.0]).view(1, 1, 2, 2)  # standard deviation 2
        >>> round(q2n(gt + 2, gt, block=2).item(), 4)  # the normalised means are 1 and 2, and 2 * 1 * 2 / (1 + 4) = 0.8
        0.8
    """
    return q2n_map(fused, gt, block=block, shift=shift).mean((-2, -1))


def q2n_map(fused: Tensor, gt: Tensor, *, block: int = 32, shift: int | None = None) -> Tensor:
    """Q2n of every block, (B, block rows, block columns) float64; arguments as in `q2n`."""
    shift = shift or block
    rows = zip(*(block_rows(_mirror(image, block, shift), block, shift) for image in (gt, fused)), strict=True)
    return torch.stack([_row(_round(x), _round(y)) for x, y in rows], dim=1)


def _mirror(image: Tensor, block: int, shift: int) -> Tensor:
    for axis in (-1, -2):
        size = image.shape[axis]
        extra = (ceil(size / shift) - 1) * shift + block - size
        if extra > size:
            height, width = image.shape[-2:]
            raise ValueError(
                f"image of {height}x{width} cannot be mirrored to one block of {block}x{block}; "
                f"needs at least {ceil(block / 2)} pixels a side (or a smaller block)"
            )
        if extra:
            image = torch.cat([image, image.narrow(axis, size - extra, extra).flip(axis)], axis)
    return image


def _round(blocks: Tensor) -> Tensor:
    """Convert to uint16 as MATLAB does (half away from zero, saturating), in place; the values stay in float64."""
    return blocks.clamp_(0, 65535).add_(0.5).floor_()


def _row(x: Tensor, y: Tensor) -> Tensor:
    """Q2n of blocks x (reference) and y of integers, both (B, n, C, N): (B, n)."""
    bands, pixels = x.shape[-2:]
    components = 1 << (bands - 1).bit_length()
    sum_x, sum_y = x.sum(-1), y.sum(-1)
    # Sums of products of integers are exact in float64, so these differences need no centred copy of the blocks.
    scatter_x = pixels * torch.linalg.vecdot(x, x) - sum_x**2
    scatter_y = pixels * torch.linalg.vecdot(y, y) - sum_y**2
    scatter = pixels * (x @ y.mT) - sum_x[..., None] * sum_y[..., None, :]
    degrees = pixels * (pixels - 1)
    # The smallest scatter of a block that is not flat is pixels - 1: one pixel off by one.
    varies = scatter_x > (pixels - 1) / 2
    deviation = torch.where(varies, scatter_x / degrees, EPS**2).sqrt()
    # The toolbox does not divide the test image where the reference's mean (not its deviation) is zero.
    divisor = torch.where(sum_x == 0, 1.0, deviation)
    # Normalised, the reference has mean 1 in every component; so have both images in the zero bands that are padded.
    power_x = float(components)
    power_y = ((sum_y - sum_x) / pixels / divisor + 1).square().sum(-1) + (components - bands)
    bias = 2 * (power_x * power_y).sqrt() / (power_x + power_y)
    variance = varies.sum(-1) + (scatter_y / degrees / divisor**2).sum(-1)
    modulus = _hypercomplex_norm(scatter / degrees / deviation[..., None] / divisor[..., None, :], components)
    return torch.where(variance > 0, modulus * bias * 2 / torch.where(variance > 0, variance, 1.0), bias)


def _hypercomplex_norm(covariance: Tensor, components: int) -> Tensor:
    """Modulus of the hypercomplex covariance, from the matrix (..., C, C) between bands of reference and test."""
    bands = covariance.shape[-1]
    signs, order = (table.to(covariance.device) for table in _tables(components))
    padded = torch.nn.functional.pad(covariance, (0, components - bands, 0, components - bands)) * signs.to(covariance)
    flat = padded.reshape(-1, components * components)
    step = max(1, CHUNK // components**2)
    parts = [chunk[:, order].view(-1, components, components).sum(-1).norm(dim=-1) for chunk in torch.split(flat, step)]
    return torch.cat(parts).view(covariance.shape[:-2])


@lru_cache(maxsize=16)
def _tables(components: int) -> tuple[Tensor, Tensor]:
    """Signs of e_i times conjugated e_j, and the flat positions (i, i xor m) whose products fall on component m."""
    i = torch.arange(components)
    conjugate = torch.where(i > 0, -1, 1)
    order = i[None, :] * components + (i[None, :] ^ i[:, None])
    return _product_signs(components) * conjugate, order.flatten()


def _product_signs(components: int) -> Tensor:
    """Signs of the products of base elements in the toolbox's Cayley-Dickson construction, (components, components).

    With halves a = [p, q] and b = [r, s], and * for the conjugate: a b = [p r - s* q, p* s* + r q*].
    """
    if components == 1:
        return torch.ones(1, 1, dtype=torch.int64)
    half = _product_signs(components // 2)
    star = torch.where(torch.arange(components // 2) > 0, -1, 1)
    top = torch.cat([half, half * star[:, None] * star], 1)
    bottom = torch.cat([half.T * star[:, None], -half.T * star], 1)
    return torch.cat([top, bottom])
