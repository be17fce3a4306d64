"""MTF-GLP-HPM: high-pass modulation on the MTF-matched pyramid (Aiazzi et al., URBAN, 2003)."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import gaussian_low_pass, glp_low_pass
from waldbench.imaging.injection import Modulation, Variant, unless
from waldbench.imaging.statistics import divide, mean, std, zero_mean
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2003,
    paper="Aiazzi, Alparone, Baronti, Garzelli, Selva, GRSS/ISPRS Workshop URBAN 2003:90-94",
    doi="10.1109/DFUA.2003.1219964",
    faithful="as in the reference toolbox: guide equalised by the deviation of its low-passed self",
    inferred=(
        "modulation clipped to [0, 10], as newer toolboxes do; variant='toolbox' is the published one",
        "a flat band, or a guide whose low-pass is flat, is left as interpolated",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class MTFGLPHPM(Method):
    """Injection by multiplication: every band times the equalised guide over its Laplacian low-pass.

    Args:
        variant: "clipped", or "toolbox": the published modulation, which dark pixels drive without bounds.
        options: sensor and guide_bands, as in `Method`.
    """

    margin = 17

    def __init__(self, *, variant: Variant = "clipped", **options: Any) -> None:
        super().__init__(**options)
        self.modulation = Modulation(variant)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        gains = divide(std(lms), std(gaussian_low_pass(guide, self.ratio)))
        matched = zero_mean(guide) * gains + mean(lms)
        fused = self.modulation(matched, glp_low_pass(matched, self.sensor, self.ratio)).mul_(lms)
        return unless(gains == 0, self.modulation.limited(fused, ms, guide), lms)
