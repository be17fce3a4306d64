"""GS: Gram-Schmidt (Laben, Brower, US patent 6011875, 2000)."""

from torch import Tensor

from imaging.statistics import inject, match_moments, slope
from methods import Method, register


@register(
    tasks={"ms", "hs"},
    year=2000,
    paper="Laben, Brower, US patent 6011875",
    faithful="mode 1 of the patent: intensity is the plain mean of all bands; guide equalised to it",
)
class GS(Method):
    """Component substitution along the first Gram-Schmidt vector: the plain mean of the bands."""

    margin = 0

    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Fuse; shapes as in `Method`."""
        intensity = lms.mean(1, keepdim=True)
        # Both have the same mean, so the means of the bands need no restoring.
        detail = match_moments(guide, like=intensity) - intensity
        return inject(lms, slope(intensity, lms), detail)
