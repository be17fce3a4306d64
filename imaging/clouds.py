"""Clouds and their shadows in Sentinel-2 images: a mask by band ratios, and what counts as covered.

The cloud score is that of Schmitt et al., ISPRS Annals IV-2/W7, 2019 (doi 10.5194/isprs-annals-IV-2-W7-145-2019), the shadow
index that of Zhai et al., ISPRS JPRS 144, 2018 (doi 10.1016/j.isprsjprs.2018.07.006), with the threshold 0.2 that the
cloud-removal literature takes. Ours: the 7x7 mean that stands for their morphology, that shadows are
dark beside the clear pixels only, and that an image with less than one per cent of cloud has none (the index alone finds the
darkest water and forest of every image).
"""

from __future__ import annotations

import torch
from torch import Tensor

from waldbench.imaging.filters import box

# From this value of a mask on, a pixel counts as covered.
THRESHOLD = 0.2
# Reflectance is 0.0001 times the digital number (Level-1C).
QUANTIFICATION = 10000.0
# Shadow where index and blue lie below these shares of the way from the darkest pixel to the mean.
SHADOW, BLUE = 3 / 4, 5 / 6
LEAST_CLOUD = 0.01


def covered(mask: Tensor) -> Tensor:
    """Boolean mask of the pixels that clouds or shadows hide."""
    return mask >= THRESHOLD


def coverage(mask: Tensor) -> Tensor:
    """Cloud coverage of every image of a mask (B, 1, H, W): its share of covered pixels, (B,) float64 from 0 to 1."""
    return covered(mask).double().mean((1, 2, 3))


def cloud_and_shadow(image: Tensor) -> Tensor:
    """Mask of the clouds and shadows of Sentinel-2 images.

    Args:
        image: all 13 bands, B1 to B12 in order, digital numbers, (B, 13, H, W).

    Returns:
        (B, 1, H, W): 1 where a cloud or its shadow is found, else 0.

    Raises:
        ValueError: for another number of bands.
    """
    if image.shape[1] != 13:
        raise ValueError(f"the cloud mask needs the 13 bands of Sentinel-2, got {image.shape[1]}")
    cloud = box(cloud_score(image), 7) >= THRESHOLD
    shadow = box(_shadow(image, ~cloud).to(image.dtype), 7) >= 0.5
    cloudy = coverage(cloud.to(image.dtype)) >= LEAST_CLOUD
    return (cloud | (shadow & cloudy[:, None, None, None])).to(image.dtype)


def cloud_score(image: Tensor) -> Tensor:
    """How much a pixel looks like a cloud, 0 to 1, (B, 1, H, W): the least of six criteria; arguments as above."""
    b1, b2, b3, b4, b8, b10, b11 = (image[:, band : band + 1] / QUANTIFICATION for band in (0, 1, 2, 3, 7, 10, 11))
    criteria = (
        _rescale(b2, 0.1, 0.5),
        _rescale(b1, 0.1, 0.3),
        _rescale(b1 + b10, 0.15, 0.2),
        _rescale(b4 + b3 + b2, 0.2, 0.8),
        # Clouds are as moist as they are bright; snow is bright in green and dark at 1610 nm.
        _rescale(_difference(b8, b11), -0.1, 0.1),
        _rescale(_difference(b3, b11), 0.8, 0.6),
    )
    return torch.stack(criteria).amin(0)


def _shadow(image: Tensor, clear: Tensor) -> Tensor:
    blue, nir, swir = (image[:, band : band + 1] / QUANTIFICATION for band in (1, 7, 11))
    return _dark((nir + swir) / 2, SHADOW, clear) & _dark(blue, BLUE, clear)


def _dark(x: Tensor, share: float, clear: Tensor) -> Tensor:
    """Pixels darker than a share of the way from the darkest to the mean of the clear ones."""
    least = torch.where(clear, x, torch.inf).amin((1, 2, 3), keepdim=True)
    count = clear.sum((1, 2, 3), keepdim=True).clamp(min=1)
    mean = torch.where(clear, x, 0.0).sum((1, 2, 3), keepdim=True) / count
    return clear & (x < least + share * (mean - least))


def _rescale(x: Tensor, zero: float, one: float) -> Tensor:
    return ((x - zero) / (one - zero)).clamp(0, 1)


def _difference(x: Tensor, y: Tensor) -> Tensor:
    total = x + y
    return torch.where(total > 0, (x - y) / torch.where(total > 0, total, 1.0), 0.0)
