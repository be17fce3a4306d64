"""Brovey: ratio of guide and intensity (Gillespie, Kahle, Walker, RSE 22(3), 1987)."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.injection import Modulation, Variant, unless
from waldbench.imaging.statistics import flat_guide, match_moments
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=1987,
    paper="Gillespie, Kahle, Walker, Remote Sensing of Environment 22(3):343-365",
    doi="10.1016/0034-4257(87)90088-5",
    faithful="intensity is the plain mean of all bands; the guide is not equalised unless match=True",
    inferred=(
        "modulation clipped to [0, 10], as newer toolboxes do; variant='toolbox' is the published one",
        "a flat guide has nothing to inject: the interpolated image is returned",
    ),
)
class Brovey(Method):
    """Component substitution by multiplication: every band times guide over intensity.

    Args:
        match: first bring the guide to mean and standard deviation of the intensity.
        variant: "clipped", or "toolbox": the published modulation, which dark pixels drive without bounds.
        options: sensor and guide_bands, as in `Method`.
    """

    margin = 0

    def __init__(self, *, match: bool = False, variant: Variant = "clipped", **options: Any) -> None:
        super().__init__(**options)
        self.match = match
        self.modulation = Modulation(variant)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        nothing, intensity = flat_guide(guide), lms.mean(1, keepdim=True)
        if self.match:
            guide = match_moments(guide, like=intensity)
        return unless(nothing, lms * self.modulation(guide, intensity), lms)
