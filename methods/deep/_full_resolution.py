"""What the losses without reference share: the sensor's blur, correlation in windows with the guide, thresholds, registration.

Definitions: Ciotola, Vitale, Mazza, Poggi, Scarpa, IEEE TGRS, 2022 (doi 10.1109/TGRS.2022.3163887).
"""

from __future__ import annotations

from functools import lru_cache
from math import log, pi

import torch
from torch import Tensor
from torch.nn import functional

# Half the side of the windows in which lms is compared with the blurred guide, at ratio 4.
COARSE = 8
# Side of the filters, and of the reach that they take off each border.
SIZE = 41
REACH = SIZE // 2
EPS = 1e-20


def _sampled_gaussian(gain: float, ratio: int, size: int, width: int) -> Tensor:
    """Profile whose frequency response is a Gaussian that falls to `gain` at the Nyquist frequency of the low resolution."""
    c = torch.arange(-(size // 2), size // 2 + 1, dtype=torch.float64)
    response = torch.exp(c**2 / (width / (2 * ratio)) ** 2 * log(gain))
    return torch.cos(2 * pi * c[:, None] * c / size) @ response / size


@lru_cache(maxsize=64)
def band_kernel(gain: float, ratio: int) -> Tensor:
    """A band's 41x41 filter: a Kaiser window along the columns alone, no negative values, sum 1 (float64)."""
    profile = _sampled_gaussian(gain, ratio, SIZE, SIZE - 1)
    window = torch.kaiser_window(SIZE, periodic=False, beta=0.5, dtype=torch.float64)
    kernel = torch.outer(profile, profile * window).clamp(min=0)
    return kernel / kernel.sum()


@lru_cache(maxsize=64)
def guide_kernel(gain: float, ratio: int) -> Tensor:
    """The guide's 41x41 filter: a wider response than a band's, neither clipped nor normalised (float64)."""
    profile = _sampled_gaussian(gain, ratio, SIZE, SIZE)
    window = torch.kaiser_window(SIZE, periodic=False, beta=0.5, dtype=torch.float64)
    return torch.outer(profile, profile * window)


@lru_cache(maxsize=64)
def cube_kernel(ratio: int, size: int = SIZE, gain: float = 0.3) -> Tensor:
    """The filter of a hyperspectral band, size x size: a Kaiser window over the radius, not normalised (float64)."""
    reach = size // 2
    profile = _sampled_gaussian(gain, ratio, size, size - 1)
    window = torch.kaiser_window(size, periodic=False, beta=0.5, dtype=torch.float64)[reach:]
    c = torch.arange(-reach, reach + 1, dtype=torch.float64)
    squared = c[:, None] ** 2 + c**2
    radius = squared.sqrt()
    low = radius.floor().long().clamp(max=reach - 1)
    rotated = window[low] + (window[low + 1] - window[low]) * (radius - low)
    return torch.outer(profile, profile) * torch.where(squared <= reach**2, rotated, 0.0)


def blurred(x: Tensor, kernels: Tensor, step: int = 1) -> Tensor:
    """Every `step`-th valid sample of x (B, C, H, W) filtered with one kernel a band, (C, size, size)."""
    return functional.conv2d(x, kernels[:, None].to(x), stride=step, groups=x.shape[1])


def window_mean(x: Tensor, half: int) -> Tensor:
    """Sum over the pixels i - half + 1 to i + half in both directions, zeros outside, divided by (2 half)^2 everywhere."""
    wide = functional.pad(x, (half - 1, half, half - 1, half))
    return functional.avg_pool2d(functional.avg_pool2d(wide, (2 * half, 1), stride=1), (1, 2 * half), stride=1)


class Centred:
    """An image (B, C, H, W) less the mean of every pixel's own window, and its power in the window, in float64."""

    def __init__(self, x: Tensor, half: int) -> None:
        x = x.double()
        self.half = half
        self.values = x - window_mean(x, half)
        self.power = window_mean(self.values.square(), half).clamp(min=EPS)

    def correlation(self, other: Centred, positive: bool = False) -> Tensor:
        """Correlation in every window, (B, C, H, W), with an image of as many bands or one; `positive`: none below zero."""
        covariance = window_mean(self.values * other.values, self.half)
        if positive:
            covariance = covariance.clamp(min=EPS)
        return covariance / ((self.power * other.power).sqrt() + EPS)


def correlation(x: Tensor, y: Tensor, half: int) -> Tensor:
    """Local correlation of every band of x (B, C, H, W) with y (B, C or 1, H, W) in windows of 2 half pixels, float64."""
    return Centred(x, half).correlation(Centred(y, half))


class Structure:
    """The structural loss of one scene: what local correlation with the guide lacks, where lms lets one ask for more.

    Args:
        guide: one-band guide (B, 1, H, W), of the size of the outputs to come.
        threshold: 1 - correlation that lms itself reaches with the blurred guide, (B, C, H, W).
        half: half the side of the windows.
        positive: whether negative covariances count as none.
    """

    def __init__(self, guide: Tensor, threshold: Tensor, half: int, positive: bool = False) -> None:
        self.guide = Centred(guide, half)
        self.threshold, self.half, self.positive = threshold, half, positive

    def __call__(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of an output (B, C, H, W), and the same without threshold."""
        lack = 1 - Centred(output, self.half).correlation(self.guide, self.positive).clamp(min=-1)
        return (lack * (lack > self.threshold)).mean(), lack.mean()


def reflected(x: Tensor, kernel: Tensor) -> Tensor:
    """One image (B, 1, H, W) filtered with reflected borders."""
    return blurred(functional.pad(x, (kernel.shape[-1] // 2,) * 4, mode="reflect"), kernel[None])


def threshold(lms: Tensor, guide: Tensor, kernel: Tensor, half: int) -> Tensor:
    """1 - local correlation of lms (B, C, H, W) with the guide (B, 1, H, W) blurred to its resolution, float64."""
    return 1 - correlation(lms, reflected(guide, kernel), half)


def nearest_offsets(ms: Tensor, guide: Tensor, kernel: Tensor, ratio: int, half: int = 2) -> tuple[list[int], list[int]]:
    """Row and column, below the ratio, at which samples of the blurred guide resemble every band most.

    Args:
        ms: (B, C, h, w) in digital numbers.
        guide: (B, 1, H, W) in digital numbers; blurred, it is rounded to whole ones as published.
        kernel: its low-pass filter.
        ratio: side of the cells of the low-resolution grid.
        half: half the side of the windows.

    Returns:
        Rows and columns of all bands of all images, image by image.
    """
    low = blurred(functional.pad(guide, (kernel.shape[-1] // 2,) * 4, mode="replicate"), kernel[None]).round()
    bands = Centred(ms, half)
    offsets = [(row, column) for row in range(ratio) for column in range(ratio)]
    samples = (Centred(low[..., row::ratio, column::ratio], half) for row, column in offsets)
    found = torch.stack([bands.correlation(sample).mean((2, 3)).flatten() for sample in samples]).argmax(0)
    return [int(place) // ratio for place in found], [int(place) % ratio for place in found]


def sampled(output: Tensor, kernels: Tensor, rows: list[int], columns: list[int], ratio: int) -> Tensor:
    """Low-resolution samples (1, B C, h, w) of the blurred output (B, C, H, W): every band's valid ones from its offset on."""
    height, width = (side - ratio + 1 for side in output.shape[-2:])
    planes = zip(output.flatten(0, 1), rows, columns, strict=True)
    moved = torch.stack([plane[row : row + height, column : column + width] for plane, row, column in planes])
    return blurred(moved[None], kernels.repeat(len(output), 1, 1), ratio)


def inner(x: Tensor, margin: int) -> Tensor:
    """The image x (B, C, H, W) without `margin` pixels at each border."""
    return x[..., margin : x.shape[-2] - margin, margin : x.shape[-1] - margin]


def at_least(ms: Tensor, lms: Tensor, guide: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """The images, replicated at the lower and right border where a side is smaller than `side` low-resolution pixels."""
    down, right = (max(side - size, 0) for size in ms.shape[-2:])
    if down == right == 0:
        return ms, lms, guide
    ratio = lms.shape[-1] // ms.shape[-1]
    fine = (0, right * ratio, 0, down * ratio)
    low = functional.pad(ms, (0, right, 0, down), mode="replicate")
    return low, functional.pad(lms, fine, mode="replicate"), functional.pad(guide, fine, mode="replicate")


class CubeLosses:
    """Losses of hyperspectral bands or components at full resolution (R-PNN, PCA-Z-PNN), published for ratio 6.

    Args:
        ms: low-resolution bands (B, C, h, w), at least 11 pixels a side.
        lms: the first of them interpolated, (B, 1, H, W): the structural loss looks at no other.
        guide: (B, 1, H, W).
        ratio: guide sides over cube sides.
    """

    # Low-resolution pixels that the blur takes off each border, and the side below which nothing is left.
    MARGIN, SMALLEST = 5, 11

    def __init__(self, ms: Tensor, lms: Tensor, guide: Tensor, ratio: int) -> None:
        self.ratio, self.labels = ratio, inner(ms, self.MARGIN)
        self.kernels = cube_kernel(ratio, 2 * self.MARGIN * ratio + 1).expand(ms.shape[1], -1, -1).to(ms)
        self.structure = Structure(guide, threshold(lms, guide, cube_kernel(ratio), 3 * ratio), -(-ratio // 2), positive=True)

    def __call__(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Spectral loss of an output (B, C, H, W), structural loss of its first band, and that without threshold."""
        first = self.ratio // 2
        spectral = (blurred(output[..., first:, first:], self.kernels, self.ratio) - self.labels).abs().mean()
        return spectral, *self.structure(output[:, :1])
