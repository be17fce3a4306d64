"""Image statistics: the operations that component substitution and multiresolution methods are made of.

Images are (B, C, H, W); a statistic is taken per image and band and returned as (B, C, 1, 1), so that it broadcasts. An
image of one band broadcasts against one of many. Variances divide by n - 1; that of a flat image (`imaging.flatness`) is 0.
Sums run in float64 where single precision would cost digits; results have the type of the input. Of a strip
(`imaging.strips`) the whole image's statistic is returned.
"""

from __future__ import annotations

import torch
from torch import Tensor

from waldbench.imaging.flatness import FLAT, is_flat
from waldbench.imaging.strips import current, height, inner, total

# Samples in one float64 piece of a Gram matrix; keeps hyperspectral cubes from being copied whole.
PIECE = 2**20
HAZE_SHARES = (0.95, 0.45, 0.40, 0.05)
# So many rows of an image, evenly spaced, are looked at first, to see that it is not flat.
GLANCE = 8


def mean(x: Tensor) -> Tensor:
    """Mean of every band, (B, C, 1, 1)."""
    sums = total(inner(x).sum((-2, -1), keepdim=True, dtype=torch.float64))
    return (sums / (height(x) * x.shape[-1])).to(x.dtype)


def single_band(guide: Tensor) -> Tensor:
    """The guide (B, G, H, W) as one band (B, 1, H, W): PAN as it is, the polarisations of SAR averaged in dB."""
    return guide if guide.shape[1] == 1 else guide.mean(1, keepdim=True)


def zero_mean(x: Tensor) -> Tensor:
    """Subtract from every band its mean."""
    return x - mean(x)


def covariance(x: Tensor, y: Tensor) -> Tensor:
    """Covariance of every band of x with that of y, (B, C, 1, 1)."""
    # Centring one of the two is enough.
    return _inner(zero_mean(x), y)


def variance(x: Tensor) -> Tensor:
    """Variance of every band, (B, C, 1, 1); 0 where it is flat."""
    level = mean(x)
    x = x - level
    return _scatter(x, level)


def _scatter(centred: Tensor, level: Tensor) -> Tensor:
    """Variance of an image without its mean, which is `level`."""
    scatter = _inner(centred, centred)
    return torch.where(is_flat(scatter, scatter + level * level), 0.0, scatter)


def flat(x: Tensor) -> Tensor:
    """Whether every band of x is flat up to rounding (`imaging.flatness`), (B, C, 1, 1) boolean."""
    if current() is None and varies_at_a_glance(x[..., :: max(1, x.shape[-2] // GLANCE), :], x.shape[-2] * x.shape[-1]):
        return _no_band(x)
    # Both moments at once: strips need no second pass for what rests on a mean. Double precision leaves 1e-15 of the power.
    exact = inner(x).double()
    level, power = total(torch.stack([exact.sum((-2, -1)), exact.square().sum((-2, -1))])) / (height(x) * x.shape[-1])
    return is_flat(power - level.square(), power)[..., None, None]


def flat_guide(guide: Tensor) -> Tensor:
    """`flat` of a scene's guide; of a strip of it, without a statistic where a glance at the scene has shown that it varies."""
    strip = current()
    return _no_band(guide) if strip is not None and strip.guide_varies else flat(guide)


def _no_band(x: Tensor) -> Tensor:
    return torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)[..., None, None]


def varies_at_a_glance(rows: Tensor, count: int) -> bool:
    """Whether some rows (B, C, h, W) of an image of `count` pixels are enough to say that none of its bands is flat."""
    low, high = torch.aminmax(rows.flatten(2), dim=-1)
    # Two pixels apart by d have a scatter of d^2 / 2 at least; if the mean is beyond twice these pixels, the scatter is larger.
    return bool(((high - low) > (8 * FLAT * count) ** 0.5 * torch.maximum(high.abs(), low.abs())).all())


def _inner(x: Tensor, y: Tensor) -> Tensor:
    products = total(torch.linalg.vecdot(inner(x), inner(y)).sum(-1, dtype=torch.float64))
    count = height(x) * x.shape[-1]
    return (products / max(count - 1, 1)).to(x.dtype)[..., None, None]


def std(x: Tensor) -> Tensor:
    """Standard deviation of every band, (B, C, 1, 1)."""
    return variance(x).sqrt()


def correlation(x: Tensor, y: Tensor) -> Tensor:
    """Pearson's correlation of every band of x with that of y, (B, C, 1, 1); 0 where either is flat."""
    return divide(covariance(x, y), std(x) * std(y))


def slope(x: Tensor, y: Tensor) -> Tensor:
    """Slope of y regressed on x, band by band: covariance(x, y) / variance(x); 0 where x is flat."""
    level = mean(x)
    x = x - level
    return divide(_inner(x, y), _scatter(x, level))


def divide(x: Tensor, y: Tensor) -> Tensor:
    """Quotient x / y; 0 where y is 0, as the variance of a flat image is."""
    return torch.where(y == 0, torch.zeros_like(x), x / torch.where(y == 0, torch.ones_like(y), y))


def match_moments(x: Tensor, like: Tensor, spread: Tensor | None = None) -> Tensor:
    """Shift and scale x to the mean and standard deviation of `like`, (B, C, H, W).

    The standard deviation of x is read from `spread` where given: some methods take that of a low-passed guide.
    """
    return zero_mean(x) * divide(std(like), std(x if spread is None else spread)) + mean(like)


def restore_mean(x: Tensor, like: Tensor) -> Tensor:
    """Shift every band of x to the mean of that band of `like`."""
    return x + (mean(like) - mean(x))


def combine(x: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of the bands of x, (B, 1, H, W); a weight more than there are bands is a constant term."""
    bands = x.shape[1]
    total = (weights[:, :bands].flatten(1)[:, None] @ x.flatten(2)).view(-1, 1, *x.shape[-2:])
    return total + weights[:, bands:] if weights.shape[1] > bands else total


def inject(x: Tensor, gains: Tensor, detail: Tensor) -> Tensor:
    """Add detail to every band of x: x + gains * detail."""
    return torch.addcmul(x, gains, detail)


def gram(x: Tensor, y: Tensor) -> Tensor:
    """Sums over pixels of the products of all bands of x and all bands of y, (B, C, D) float64."""
    x, y = inner(x), inner(y)
    rows = max(1, PIECE // (x.shape[1] * x.shape[-1]))
    pieces = zip(torch.split(x, rows, -2), torch.split(y, rows, -2), strict=True)
    parts = [a.double().flatten(2) @ b.double().flatten(2).mT for a, b in pieces]
    return total(torch.stack(parts).sum(0))


def haze(x: Tensor) -> Tensor:
    """Path radiance of every band of x, (B, C, 1, 1).

    It is the darkest pixel, or for four bands (blue, green, red, near infrared) a share of the first percentile.
    Lolli et al., IEEE GRSL 14(12), 2017 (doi 10.1109/LGRS.2017.2761021), with the shares of the reference toolbox.
    """
    flat = inner(x).flatten(2)
    if x.shape[1] != 4:
        return total(flat.amin(-1), torch.minimum)[..., None, None]
    count = height(x) * x.shape[-1]
    # Plotting positions (i - 0.5) / n, MATLAB's percentile.
    position = max(0.01 * count - 0.5, 0.0)
    low = int(position)

    def darkest_of(values: Tensor) -> Tensor:
        return values.topk(min(low + 2, values.shape[-1]), largest=False).values

    darkest = total(darkest_of(flat), lambda one, other: darkest_of(torch.cat([one, other], -1)))
    low = min(low, darkest.shape[-1] - 1)
    percentile = torch.lerp(darkest[..., low], darkest[..., -1], position - low)
    return (percentile * percentile.new_tensor(HAZE_SHARES))[..., None, None]
