"""UIQI: the universal image quality index (Wang, Bovik, IEEE SPL 9(3), 2002), in blocks and in sliding windows.

The index of two windows is 4 cov(x, y) mu_x mu_y / ((var_x + var_y) (mu_x^2 + mu_y^2)): 1 for equal windows, -1 at worst.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from waldbench.imaging.operators import AxisOperator, separable
from waldbench.metrics import conventions
from waldbench.metrics.base import register
from waldbench.metrics.spatial import gaussian_window

# A window whose variance is below this share of its power is flat up to the rounding of float64 sums.
FLAT = 1e-13


@register(
    title="UIQI",
    direction="higher",
    best=1.0,
    convention="DLPan 'Q': windows of 32x32 at every pixel, sums in float64, mean over windows, then over bands; flat windows "
    "are compared by their means alone",
    reference="Wang, Bovik, IEEE SPL 9(3):81-84, 2002, doi 10.1109/97.995823",
)
def uiqi(fused: Tensor, gt: Tensor, *, block: int = 32, convention: str = conventions.DEFAULT) -> Tensor:
    """Universal image quality index, mean over sliding windows and bands.

    Args:
        fused: fused images (B, C, H, W) in digital numbers.
        gt: ground truth of the same shape.
        block: window side in pixels.
        convention: "dlpan" or "torchmetrics-compatible" (Gaussian windows; `block` is ignored).

    Returns:
        (B,) float64 in [-1, 1].

    Raises:
        ValueError: if the image is smaller than one window, or for an unknown convention.

    Example:
        >>> import torch
        >>> from waldbench.metrics.uiqi import uiqi
        >>> gt = torch.arange(16.0).view(1, 1, 4, 4)
        >>> round(uiqi(2 * gt, gt, block=4).item(), 4)  # 4 * 2 * 2 / (4 + 1) ** 2
        0.64
    """
    conventions.choose("uiqi", convention)
    if convention == conventions.TORCHMETRICS:
        return torch.stack([gaussian_uiqi(fused[:, band], gt[:, band]) for band in range(gt.shape[1])], 1).mean(-1)
    return sliding_uiqi(fused, gt, block).mean((-3, -2, -1))


def sliding_uiqi(x: Tensor, y: Tensor, block: int = 32) -> Tensor:
    """UIQI of every block x block window of x and y (B, C, H, W), as a map (B, C, H - block + 1, W - block + 1)."""
    require_size(x, block)
    return torch.stack([_sliding(x[:, band].double(), y[:, band].double(), block) for band in range(x.shape[1])], 1)


def _sliding(x: Tensor, y: Tensor, block: int) -> Tensor:
    rows, columns = window_sum(x.shape[-2], block), window_sum(x.shape[-1], block)
    sx, sy, sxy, power = (separable(image, rows, columns) for image in (x, y, x * y, x * x + y * y))
    count = block * block
    squares = sx * sx + sy * sy
    return from_moments(count * sxy - sx * sy, count * power - squares, sx, sy, FLAT * count * power)


def gaussian_uiqi(x: Tensor, y: Tensor) -> Tensor:
    """UIQI of single bands x and y (B, H, W) in 11x11 Gaussian windows inside the image, mean over windows, (B,)."""
    require_size(x, 11)
    x, y = x.double(), y.double()
    rows, columns = gaussian_window(x.shape[-2]), gaussian_window(x.shape[-1])
    mean_x, mean_y, product, power = (separable(image, rows, columns) for image in (x, y, x * y, x * x + y * y))
    variances = power - mean_x * mean_x - mean_y * mean_y
    return from_moments(product - mean_x * mean_y, variances, mean_x, mean_y, FLAT * power).mean((-2, -1))


@lru_cache(maxsize=64)
def window_sum(size: int, block: int) -> AxisOperator:
    """Sums of `block` neighbours along an axis of `size` samples; whole windows only."""
    weights = torch.ones(1, block, dtype=torch.float64).expand(size - block + 1, -1)
    return AxisOperator(torch.arange(size - block + 1), weights, size, "replicate")


def from_moments(covariance: Tensor, variances: Tensor, mean_x: Tensor, mean_y: Tensor, flat: Tensor | float = 0.0) -> Tensor:
    """Combine moments; `variances` is var_x + var_y. Flat pairs are compared by means, pairs without mean count as equal."""
    means = mean_x * mean_x + mean_y * mean_y
    is_flat = variances <= flat
    product = 2 * mean_x * mean_y
    value = torch.where(is_flat, product, 2 * covariance * product)
    scale = torch.where(is_flat, means, variances * means)
    return torch.where(scale > 0, value / scale, 1.0)


def block_rows(x: Tensor, block: int, shift: int | None = None) -> Iterator[Tensor]:
    """Yield the blocks of x (B, C, H, W) one row of blocks at a time, as float64 (B, blocks in the row, C, block * block).

    Going row by row keeps the temporaries small, whatever the image and the band count.
    """
    shift = shift or block
    for top in range(0, x.shape[-2] - block + 1, shift):
        blocks = x[..., top : top + block, :].unfold(-1, block, shift).permute(0, 3, 1, 2, 4)
        # Converting and reordering in one copy takes half the time of doing it in two.
        yield torch.empty(blocks.shape, dtype=torch.float64, device=x.device).copy_(blocks).flatten(-2)


def centre(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, n, C) of every block and the blocks without it."""
    mean = blocks.mean(-1)
    return mean, blocks - mean[..., None]


def block_uiqi(x: Tensor, y: Tensor, block: int) -> Tensor:
    """UIQI between every band of x (B, C, H, W) and every band of y (B, D, H, W), mean over distinct blocks, (B, C, D).

    Pixels beyond the last whole block, at the bottom and at the right, are left out.

    Raises:
        ValueError: if the image is smaller than one block.
    """
    require_size(x, block)
    total, count = torch.zeros((), dtype=torch.float64, device=x.device), 0
    for a, b in zip(block_rows(x, block), block_rows(y, block), strict=True):
        mean_a, a = centre(a)
        mean_b, b = (mean_a, a) if x is y else centre(b)
        variance_a = torch.linalg.vecdot(a, a)
        variance_b = torch.linalg.vecdot(b, b)
        index = from_moments(a @ b.mT, variance_a[..., None] + variance_b[..., None, :], mean_a[..., None], mean_b[..., None, :])
        total = total + index.sum(1)
        count += index.shape[1]
    return total / count


def require_size(x: Tensor, block: int) -> None:
    """Raise ValueError if x (..., H, W) is smaller than one block."""
    height, width = x.shape[-2:]
    if min(height, width) < block:
        raise ValueError(
            f"image of {height}x{width} is smaller than one block; needs at least {block}x{block} (or a smaller block)"
        )
