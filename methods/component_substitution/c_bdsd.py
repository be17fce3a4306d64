"""C-BDSD: band-dependent spatial detail by clusters (Garzelli, IEEE TGRS 53(4), 2015)."""

from functools import reduce
from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging.clustering import kmeans, nearest
from waldbench.imaging.filters import box
from waldbench.imaging.injection import limited, unless
from waldbench.imaging.least_squares import level, merge, solve, triangle
from waldbench.imaging.resampling import decimate
from waldbench.imaging.statistics import flat_guide, gram, mean
from waldbench.methods.base import Method, register
from waldbench.methods.component_substitution._detail_model import WEAKEST, degraded

WINDOW = 51
# Samples that a cluster has on average for every unknown of its model; small images get fewer clusters.
SAMPLES = 20


@register(
    tasks={"ms", "hs"},
    year=2015,
    paper="Garzelli, IEEE TGRS 53(4):2096-2107",
    doi="10.1109/TGRS.2014.2354471",
    faithful="clusters of the guide's brightness and local deviation; a negative guide weight calls for the global model",
    inferred=(
        "k-means starts from groups of equal brightness instead of a random draw and is trained on a sample of pixels",
        "small images get fewer clusters, so that each has on average 20 samples for every unknown",
        "a cluster with fewer samples than unknowns takes the global model",
        "a flat guide has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class CBDSD(Method):
    """The band-dependent spatial-detail model, fitted in every cluster of similar pixels.

    Args:
        clusters: largest number of clusters.
        labels: clusters given beforehand, integers (H, W) or (B, H, W).
        variant: "published", or "toolbox", in which a negative weight of the global model also spoils all later clusters.
        options: sensor and guide_bands, as in `Method`.
    """

    needs_whole = "it clusters all pixels"

    labels: Tensor | None

    def __init__(
        self,
        *,
        clusters: int = 30,
        labels: Tensor | None = None,
        variant: Literal["published", "toolbox"] = "published",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.clusters = clusters
        self.variant = variant
        self.register_buffer("labels", labels, persistent=False)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        blurred, low, details = degraded(lms, guide, self.sensor, self.ratio)
        known = torch.cat([torch.ones_like(low), blurred, low], 1)
        sought = torch.cat([torch.ones_like(guide), lms, guide], 1).flatten(2).mT
        labels = self._clusters(guide, min(self.clusters, low[0].numel() // (SAMPLES * known.shape[1])))
        count = int(labels.max()) + 1
        weights = self._weights(known, details, decimate(labels, self.ratio), count).to(lms.dtype)
        added = torch.empty_like(lms.flatten(2).mT)
        for image, pixels in enumerate(labels.flatten(1)):
            order = pixels.argsort(stable=True)
            for label, members in enumerate(order.split(pixels.bincount().tolist())):
                added[image, members] = sought[image, members] @ weights[label, image]
        return unless(flat_guide(guide), limited(lms + added.mT.view_as(lms), ms, guide), lms)

    def _clusters(self, guide: Tensor, count: int) -> Tensor:
        """Cluster of every pixel, 0 .. K - 1, (B, H, W)."""
        if self.labels is not None:
            return torch.unique(self.labels, return_inverse=True)[1].expand(len(guide), -1, -1)
        centred = guide.double() - mean(guide)
        spread = (box(centred**2, WINDOW) - box(centred, WINDOW) ** 2).clamp(min=0).sqrt()
        features = torch.cat([spread, guide.double()], 1)
        peak = features.amax((-2, -1), keepdim=True)
        features = features / torch.where(peak > 0, peak, 1.0)
        centres = kmeans(decimate(features, self.ratio).flatten(2), max(count, 1))
        return nearest(features.flatten(2), centres).view(len(guide), *guide.shape[-2:])

    def _weights(self, known: Tensor, details: Tensor, labels: Tensor, count: int) -> Tensor:
        """Weights of the known images for the details of every band, by cluster: (K, B, C + 2, C)."""
        inside = [(labels == label)[:, None] for label in range(count)]
        factors = torch.stack([triangle(known * member) for member in inside])
        right = torch.stack([gram(known * member, details) for member in inside])
        unknowns = known.shape[1]
        overall = solve(*level(reduce(merge, factors), right.sum(0)), WEAKEST)
        weights = solve(*level(factors, right), WEAKEST)
        few = torch.stack([member.sum((1, 2, 3)) < unknowns for member in inside])
        negative = (weights[..., -1, :] < 0).any(-1)
        if self.variant == "toolbox":
            negative |= (negative.cumsum(0) > 0) & (overall[:, -1] < 0).any(-1)
        return torch.where((few | negative)[..., None, None], overall, weights)
