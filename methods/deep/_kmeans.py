"""k-means clustering of pixels without random numbers: the same labels for the same features, whatever the batch around them."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 100
# Lloyd's rounds end when no more than this share of the pixels changes its cluster.
TOLERANCE = 0.01
# Multiples of the golden section spread evenly over [0, 1): draws of k-means++ without a random generator.
GOLDEN_SECTION = 0.6180339887498949


def cluster(features: Tensor, count: int, start: float = 0.5) -> Tensor:
    """Label the pixels of every image by k-means over this image alone.

    Args:
        features: (B, N, C); taken to float32, no gradient.
        count: clusters of each image.
        start: in [0, 1), where the seeding starts; it plays the part of a random seed.

    Returns:
        Labels (B, N), integers from 0 to count - 1.
    """
    with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
        # One image at a time: products of a whole batch round differently, and labels hang on the last bit.
        return torch.stack([_lloyd(image, _seeds(image, count, start)) for image in features.float()])


def members(labels: Tensor, count: int, like: Tensor) -> Tensor:
    """Ones and zeros (..., count, N) of the type of `like`: which pixels have which of the labels (..., N)."""
    blank = like.new_zeros(*labels.shape[:-1], count, labels.shape[-1])
    return blank.scatter_(-2, labels.unsqueeze(-2), 1)


def _seeds(features: Tensor, count: int, start: float) -> Tensor:
    """The first centres (count, C): k-means++ (Arthur and Vassilvitskii, SODA 2007) with a low-discrepancy sequence as draws."""
    chosen = [int(start * len(features))]
    distance = torch.full((len(features),), float("inf"), device=features.device)
    for j in range(1, count):
        distance = torch.minimum(distance, (features - features[chosen[-1]]).square().sum(1))
        # On a CPU: cumulative sums of a GPU may differ from call to call.
        mass = distance.cpu().double().cumsum(0)
        total = float(mass[-1])
        found = int(torch.searchsorted(mass, (start + GOLDEN_SECTION * j) % 1 * total, right=True)) if total else chosen[-1] + 1
        chosen.append(found % len(features))
    return features[chosen]


def _lloyd(features: Tensor, centres: Tensor) -> Tensor:
    """Assign and average in turn; an empty cluster keeps its centre."""
    labels = features.new_full((len(features),), -1, dtype=torch.long)
    for _ in range(ROUNDS):
        # The squared norm of a pixel is the same for all centres.
        nearest = torch.addmm(centres.square().sum(1), features, centres.T, alpha=-2).argmin(1)
        changed = (nearest != labels).sum()
        labels = nearest
        if changed <= TOLERANCE * len(features):
            break
        member = members(labels, len(centres), features)
        # A product sums in the same order every time, on a GPU too.
        sums, counts = member @ features, member.sum(1, keepdim=True)
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    return labels
