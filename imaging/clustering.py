"""k-means without chance: the same image always falls into the same segments (Lloyd, IEEE TIT 28(2), 1982)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Distances held at once; keeps (clusters x pixels) of a whole scene out of memory.
PIECE = 2**18
# Centres are found from at most about twice so many pixels, evenly spaced.
SAMPLE = 2**13


def kmeans(features: Tensor, count: int, rounds: int = 100) -> Tensor:
    """Cluster centres of the pixels of every image.

    The first centres are the means of `count` equally large groups of pixels, ordered by the sum of their features.

    Args:
        features: (B, F, N), one column a pixel.
        count: number of clusters K.
        rounds: largest number of Lloyd iterations; they stop when no pixel changes its cluster.

    Returns:
        centres (B, K, F) float64. A cluster that loses all its pixels keeps its centre.
    """
    features = features[..., :: max(1, features.shape[-1] // SAMPLE)].double()
    order = features.sum(1).argsort(dim=-1, stable=True)
    rank = torch.empty_like(order).scatter_(-1, order, torch.arange(order.shape[-1], device=order.device).expand_as(order))
    labels = rank * count // order.shape[-1]
    centres = features.new_zeros(len(features), count, features.shape[1])
    for _ in range(rounds):
        member = functional.one_hot(labels, count).to(features)
        sizes = member.sum(1)[..., None]
        centres = torch.where(sizes > 0, (features @ member).mT / sizes.clamp(min=1), centres)
        moved = nearest(features, centres)
        if torch.equal(moved, labels):
            break
        labels = moved
    return centres


def nearest(features: Tensor, centres: Tensor) -> Tensor:
    """Index of the centre nearest to every pixel: features (B, F, N), centres (B, K, F) -> (B, N) int64."""
    offset = (centres * centres).sum(-1, keepdim=True) / 2
    step = max(1, PIECE // (centres.shape[0] * centres.shape[1]))
    parts = [(offset - centres @ piece.to(centres)).argmin(1) for piece in torch.split(features, step, -1)]
    return torch.cat(parts, -1)
