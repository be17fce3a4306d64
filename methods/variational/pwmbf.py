"""PWMBF: model-based fusion by PCA and wavelets (Palsson, Sveinsson, Ulfarsson, Benediktsson, IEEE TGRS 53(5), 2015)."""

from collections.abc import Iterator
from math import ceil, sqrt
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging.injection import limited, unless
from waldbench.imaging.resampling import imresize
from waldbench.imaging.statistics import divide, flat_guide, gram, mean
from waldbench.methods.base import Method, register

# Daubechies' four-tap filters of an undecimated transform.
LOW = tuple(tap / (4 * sqrt(2)) for tap in (1 + sqrt(3), 3 + sqrt(3), 3 - sqrt(3), 1 - sqrt(3)))
HIGH = (LOW[3], -LOW[2], LOW[1], -LOW[0])
LEVELS = 4
# Median absolute deviation of normal noise of unit variance.
NORMAL = 0.6745


@register(
    tasks={"ms", "hs"},
    year=2015,
    paper="Palsson, Sveinsson, Ulfarsson, Benediktsson, IEEE TGRS 53(5):2652-2663",
    doi="10.1109/TGRS.2014.2363477",
    faithful="as in the reference toolbox: three components of the uncentred bicubic bands, four undecimated Daubechies-4 levels",
    inferred=(
        "fewer than three bands: as many components as bands",
        "a flat guide has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class PWMBF(Method):
    """Bayesian estimate of the principal components' wavelet coefficients, given those of the guide.

    Args:
        components: number of principal components that receive details.
        options: sensor and guide_bands, as in `Method`.
    """

    def __init__(self, *, components: int = 3, **options: Any) -> None:
        super().__init__(**options)
        self.components = components
        # The coarsest of four levels reaches 45 guide pixels, in the analysis and again in the synthesis.
        self.margin = ceil(90 / self.ratio) + 4

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        bands = imresize(ms, self.ratio)
        axes = torch.linalg.eigh(gram(bands, bands)).eigenvectors[..., -min(self.components, ms.shape[1]) :].to(ms.dtype)
        components = (axes.mT @ bands.flatten(2)).unflatten(2, bands.shape[-2:])
        low = imresize(imresize(guide, 1 / self.ratio, "linear"), self.ratio)
        sharpened = _estimate(components, low, guide)
        fused = bands + (axes @ (sharpened - components).flatten(2)).view_as(bands)
        return unless(flat_guide(guide), limited(fused, ms, guide), lms)


def _estimate(components: Tensor, low: Tensor, guide: Tensor) -> Tensor:
    """Components (B, K, H, W) whose details follow those of the guide as far as they follow its low-pass."""
    count = components.shape[1]
    stack = torch.cat([components, low, guide], 1)
    estimates = []
    for approximation, details in _analyse(stack):
        estimates.append([_fuse(*detail.split([count, 1, 1], 1)) for detail in details])
        last = approximation[:, :count]
    for level in reversed(range(LEVELS)):
        last = _synthesise(last, estimates.pop(), 2**level)
    return last


def _fuse(known: Tensor, low: Tensor, sharp: Tensor) -> Tensor:
    """Posterior mean of a subband: prediction from the guide plus the share of the innovation that is no noise."""
    power, cross, low_power = mean(known.square()), mean(known * low), mean(low.square())
    size = known.abs()
    noise = (mean((size - mean(size)).abs_()) / NORMAL) ** 2
    slope = divide(cross, low_power)
    innovation = power - divide(cross * cross, low_power)
    return slope * sharp + (known - slope * low) * divide(innovation, innovation + noise)


def _analyse(x: Tensor) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Low-pass and the three detail subbands of every level, finest first."""
    for level in range(LEVELS):
        low, high = (_filter(x, taps, -1, 2**level) for taps in (LOW, HIGH))
        details = [_filter(low, HIGH, -2, 2**level), _filter(high, LOW, -2, 2**level), _filter(high, HIGH, -2, 2**level)]
        x = _filter(low, LOW, -2, 2**level)
        yield x, details


def _synthesise(low: Tensor, details: list[Tensor], stride: int) -> Tensor:
    """Undo one level of the analysis."""
    left = _filter(low, LOW, -2, -stride).add_(_filter(details[0], HIGH, -2, -stride))
    right = _filter(details[1], LOW, -2, -stride).add_(_filter(details[2], HIGH, -2, -stride))
    return _filter(left, LOW, -1, -stride).add_(_filter(right, HIGH, -1, -stride)).div_(4)


def _filter(x: Tensor, taps: tuple[float, ...], axis: int, stride: int) -> Tensor:
    """y[i] = sum_j taps[j] x[i + j stride] along an axis, circular."""
    size = x.shape[axis]
    out = x * taps[0]
    for number, tap in enumerate(taps[1:], 1):
        shift = number * stride % size
        head, tail = size - shift, shift
        out.narrow(axis, 0, head).add_(x.narrow(axis, shift, head), alpha=tap)
        if tail:
            out.narrow(axis, head, tail).add_(x.narrow(axis, 0, tail), alpha=tap)
    return out
