"""GS: Gram-Schmidt (Laben, Brower, US patent 6011875, 2000)."""

from torch import Tensor
from typing_extensions import override

from waldbench.imaging import Sensor
from waldbench.imaging.injection import limited, unless
from waldbench.imaging.statistics import flat, inject, match_moments, single_band, slope
from waldbench.methods.base import Method, nothing_to_sharpen, register


@register(
    tasks={"ms", "hs", "sar"},
    year=2000,
    paper="Laben, Brower, US patent 6011875",
    faithful="mode 1 of the patent: intensity is the plain mean of all bands; guide equalised to it",
    inferred=(
        "the two bands of a SAR guide enter as their mean in dB, which no paper on this method foresees",
        "a flat guide has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class GS(Method):
    """Component substitution along the first Gram-Schmidt vector: the plain mean of the bands."""

    margin = 0

    @classmethod
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        """None if ms is coarser than the guide, else the reason why not."""
        return nothing_to_sharpen("gs", sensor)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        guide, intensity = single_band(guide), lms.mean(1, keepdim=True)
        # Both have the same mean, so the means of the bands need no restoring.
        detail = match_moments(guide, like=intensity) - intensity
        return unless(flat(guide), limited(inject(lms, slope(intensity, lms), detail), ms, guide), lms)
