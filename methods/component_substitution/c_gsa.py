"""C-GSA: context-adaptive Gram-Schmidt (Restaino, Dalla Mura, Vivone, Chanussot, IEEE TGRS 55(2), 2017)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from waldbench.imaging.clustering import kmeans, nearest
from waldbench.imaging.filters import gaussian_low_pass
from waldbench.imaging.resampling import decimate
from waldbench.imaging.statistics import combine, divide, gram, inject, mean, regress, zero_mean
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2017,
    paper="Restaino, Dalla Mura, Vivone, Chanussot, IEEE TGRS 55(2):753-766",
    doi="10.1109/TGRS.2016.2614367",
    faithful="as in the reference toolbox: one regressed intensity, gains by segment, k-means of the bands over their maxima",
    inferred=("k-means starts from groups of equal brightness instead of a random draw and is trained on a sample of pixels",),
)
class CGSA(Method):
    """Adaptive Gram-Schmidt whose injection gains are estimated in every segment of the image.

    Args:
        segments: number of segments that k-means looks for.
        labels: segments given beforehand, integers (H, W) or (B, H, W).
        options: sensor and guide_bands, as in `Method`.
    """

    needs_whole = "it clusters all pixels"

    labels: Tensor | None

    def __init__(self, *, segments: int = 5, labels: Tensor | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.segments = segments
        self.register_buffer("labels", labels, persistent=False)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        low = gaussian_low_pass(guide, self.ratio, step=self.ratio)
        # Centring both sides stands for a constant regressor, at a smaller loss of digits.
        weights = regress(zero_mean(ms), onto=zero_mean(low))
        intensity = combine(lms - mean(ms), weights) + mean(low)
        member = self._membership(lms)
        return inject(lms, _spread(_slopes(intensity, lms, member), member), guide - intensity)

    def _membership(self, lms: Tensor) -> Tensor:
        """One plane a segment, 1 inside it and 0 outside, (B, K, H, W)."""
        if self.labels is None:
            peak = lms.amax((-2, -1), keepdim=True).double()
            features = divide(lms.double(), peak.expand_as(lms))
            centres = kmeans(decimate(features, self.ratio).flatten(2), self.segments)
            labels = nearest(features.flatten(2), centres).view(len(lms), *lms.shape[-2:])
        else:
            labels = torch.unique(self.labels, return_inverse=True)[1].expand(len(lms), -1, -1)
        return functional.one_hot(labels).movedim(-1, 1).to(lms.dtype)


def _slopes(x: Tensor, y: Tensor, member: Tensor) -> Tensor:
    """Slope of every band of y (B, C, H, W) regressed on x (B, 1, H, W) in every segment, (B, K, C)."""
    x = zero_mean(x)
    sizes, sums, others = gram(member, torch.cat([torch.ones_like(x), x, y], 1)).split([1, 1, y.shape[1]], -1)
    means = divide(sums, sizes)
    products = gram(member * x, torch.cat([x, y], 1)) - means * torch.cat([sums, others], -1)
    return divide(products[..., 1:], products[..., :1].expand_as(others))


def _spread(values: Tensor, member: Tensor) -> Tensor:
    """Give every pixel the values (B, K, C) of its segment, (B, C, H, W)."""
    return (values.mT.to(member) @ member.flatten(2)).unflatten(2, member.shape[-2:])
