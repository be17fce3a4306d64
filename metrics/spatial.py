"""Spatial fidelity: correlation of edges and structural similarity."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.imaging.operators import AxisOperator, separable
from waldbench.metrics import conventions
from waldbench.metrics.base import register


@register(
    title="SCC",
    direction="higher",
    best=1.0,
    convention="DLPan: cosine (means not removed) of Sobel magnitudes of all bands together, one border pixel dropped, "
    "then zero padding",
    reference="Zhou, Civco, Silander, IJRS 19(4):743-757, 1998; Vivone et al., doi 10.1109/MGRS.2020.3019315",
)
def scc(fused: Tensor, gt: Tensor) -> Tensor:
    """Spatial correlation coefficient.

    Two images without any edge give 1, one without edges beside one with edges gives 0.

    Args:
        fused: fused images (B, C, H, W) in digital numbers.
        gt: ground truth of the same shape.

    Returns:
        (B,) float64 in [0, 1].

    Raises:
        ValueError: if the image has fewer than 3 pixels a side.

    Example:
        >>> import torch
        >>> from waldbench.metrics.spatial import scc
        >>> gt = torch.eye(5)[None, None]
        >>> [round(scc(image, gt).item(), 4) for image in (3 * gt, torch.zeros_like(gt))]
        [1.0, 0.0]
    """
    if min(gt.shape[-2:]) < 3:
        raise ValueError(f"image of {gt.shape[-2]}x{gt.shape[-1]} is too small for scc; needs at least 3x3")
    cross, power, power_gt = (torch.zeros(len(gt), dtype=torch.float64, device=gt.device) for _ in range(3))
    for band in range(gt.shape[1]):
        a, b = (_sobel_magnitude(image[:, band, 1:-1, 1:-1].double()).flatten(1) for image in (fused, gt))
        cross += torch.linalg.vecdot(a, b)
        power += torch.linalg.vecdot(a, a)
        power_gt += torch.linalg.vecdot(b, b)
    norm = (power * power_gt).sqrt()
    alike = ((power == 0) & (power_gt == 0)).double()
    return torch.where(norm > 0, cross / torch.where(norm > 0, norm, 1.0), alike)


def _sobel_magnitude(x: Tensor) -> Tensor:
    x = torch.nn.functional.pad(x, (1, 1, 1, 1))
    across = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
    down = x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]
    return torch.hypot(across[..., :-2, :] - across[..., 2:, :], down[..., :-2] - down[..., 2:])


@register(
    title="SSIM",
    direction="higher",
    best=1.0,
    convention="Wang: 11x11 Gaussian of sigma 1.5, only windows inside the image, biased moments, K 0.01 and 0.03, "
    "range 2^bits - 1, no downsampling, mean over bands",
    reference="Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 13(4):600-612, 2004, doi 10.1109/TIP.2003.819861",
)
def ssim(fused: Tensor, gt: Tensor, *, sensor: Sensor, convention: str = conventions.DEFAULT) -> Tensor:
    """Structural similarity, mean over pixels and bands.

    Args:
        fused: fused images (B, C, H, W) in digital numbers.
        gt: ground truth of the same shape.
        sensor: sensor of the images; its scale is the dynamic range.
        convention: "dlpan"; or with a window at every pixel, "torchmetrics-compatible" (reflected borders) or "cloud-removal"
            (zeros beyond the border).

    Returns:
        (B,) float64 in [-1, 1].

    Raises:
        ValueError: if the image is smaller than the 11x11 window, or for an unknown convention.

    Example:
        >>> import torch
        >>> from waldbench import sensors
        >>> from waldbench.metrics.spatial import ssim
        >>> gt = torch.full((1, 1, 11, 11), 2047.0)
        >>> round(ssim(gt / 2, gt, sensor=sensors.generic(1)).item(), 4)  # flat images: (2 * 0.5 + 0.0001) / (1 + 0.25 + 0.0001)
        0.8
    """
    conventions.choose("ssim", convention)
    height, width = gt.shape[-2:]
    if min(height, width) < 11:
        raise ValueError(f"image of {height}x{width} is too small for ssim; needs at least 11x11")
    mode = {conventions.TORCHMETRICS: "reflect", conventions.CLOUDS: "constant"}.get(convention)
    values = []
    for band in range(gt.shape[1]):
        x, y = fused[:, band].double(), gt[:, band].double()
        if mode:
            x, y = (torch.nn.functional.pad(image, (5, 5, 5, 5), mode=mode) for image in (x, y))
        luminance, structure = ssim_factors(x, y, sensor.scale)
        values.append((luminance * structure).mean((-2, -1)))
    return torch.stack(values, -1).mean(-1)


def ssim_factors(x: Tensor, y: Tensor, peak: float) -> tuple[Tensor, Tensor]:
    """Maps of the two factors of SSIM, luminance and contrast times structure, of single bands (B, H, W) in float64."""
    rows, columns = gaussian_window(x.shape[-2]), gaussian_window(x.shape[-1])
    mean_x, mean_y, square, product = (separable(image, rows, columns) for image in (x, y, x * x + y * y, x * y))
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    means, cross = mean_x * mean_x + mean_y * mean_y, mean_x * mean_y
    return (2 * cross + c1) / (means + c1), (2 * (product - cross) + c2) / (square - means + c2)


@lru_cache(maxsize=64)
def gaussian_window(size: int) -> AxisOperator:
    """Means along an axis of `size` samples, weighted by the 11 taps of a Gaussian of sigma 1.5; whole windows only."""
    offset = torch.arange(-5, 6, dtype=torch.float64)
    weights = torch.exp(-(offset**2) / (2 * 1.5**2))
    weights = (weights / weights.sum()).expand(size - 10, -1)
    return AxisOperator(torch.arange(size - 10), weights, size, "replicate")
