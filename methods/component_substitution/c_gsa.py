"""C-GSA: context-adaptive Gram-Schmidt (Restaino, Dalla Mura, Vivone, Chanussot, IEEE TGRS 55(2), 2017)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from waldbench.imaging.clustering import kmeans, nearest
from waldbench.imaging.filters import gaussian_low_pass
from waldbench.imaging.flatness import is_flat
from waldbench.imaging.injection import limited, unless
from waldbench.imaging.least_squares import regress
from waldbench.imaging.resampling import decimate
from waldbench.imaging.statistics import combine, divide, flat, gram, inject, mean
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2017,
    paper="Restaino, Dalla Mura, Vivone, Chanussot, IEEE TGRS 55(2):753-766",
    doi="10.1109/TGRS.2016.2614367",
    faithful="as in the reference toolbox: one regressed intensity, gains by segment, k-means of the bands over their maxima",
    inferred=(
        "k-means starts from groups of equal brightness instead of a random draw and is trained on a sample of pixels",
        "a guide whose low-pass is flat has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
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
        intensity = combine(lms, regress(ms, onto=low, constant=True))
        member = self._membership(lms)
        fused = inject(lms, _spread(_slopes(intensity, lms, member), member), guide - intensity)
        return unless(flat(low), limited(fused, ms, guide), lms)

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
    """Slope of every band of y (B, C, H, W) regressed on x (B, 1, H, W) in every segment, (B, K, C); 0 where x is flat."""
    level = mean(x)
    x = x - level
    sizes, sums, others = gram(member, torch.cat([torch.ones_like(x), x, y], 1)).split([1, 1, y.shape[1]], -1)
    means = divide(sums, sizes)
    products = gram(member * x, torch.cat([x, y], 1)) - means * torch.cat([sums, others], -1)
    scatter, power = products[..., :1], products[..., :1] + sizes * (means + level[..., 0]).square()
    return divide(products[..., 1:], torch.where(is_flat(scatter, power), 0.0, scatter).expand_as(others))


def _spread(values: Tensor, member: Tensor) -> Tensor:
    """Give every pixel the values (B, K, C) of its segment, (B, C, H, W)."""
    return (values.mT.to(member) @ member.flatten(2)).unflatten(2, member.shape[-2:])
