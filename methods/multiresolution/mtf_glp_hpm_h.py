"""MTF-GLP-HPM-H: high-pass modulation with haze correction (Lolli, Alparone, Garzelli, Vivone, IEEE GRSL 14(12), 2017)."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import gaussian_low_pass, glp_low_pass, mtf
from waldbench.imaging.injection import Modulation, Variant, unless
from waldbench.imaging.least_squares import least_squares
from waldbench.imaging.statistics import combine, flat, haze
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2017,
    paper="Lolli, Alparone, Garzelli, Vivone, IEEE GRSL 14(12):2255-2259",
    doi="10.1109/LGRS.2017.2761021",
    faithful="as in the reference toolbox: haze of the guide from that of the bands by regression",
    inferred=(
        "modulation clipped to [0, 10], as newer toolboxes do; variant='toolbox' is the published one",
        "a guide whose low-pass is flat has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class MTFGLPHPMH(Method):
    """High-pass modulation after the path radiance (haze) is taken off the bands and off the guide.

    Args:
        decimated: low-pass the guide by blur, decimation and interpolation; else by the blur alone.
        variant: "clipped", or "toolbox": the published modulation, which dark pixels drive without bounds.
        options: sensor and guide_bands, as in `Method`.
    """

    margin = 17

    def __init__(self, *, decimated: bool = True, variant: Variant = "clipped", **options: Any) -> None:
        super().__init__(**options)
        self.decimated = decimated
        self.modulation = Modulation(variant)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        # Where the low-pass nears the haze, the division by their difference amplifies rounding: both in double precision.
        path, exact = haze(lms), guide.double()
        smooth = gaussian_low_pass(exact, self.ratio)
        guide_path = combine(path.double(), least_squares(lms, smooth, constant=True)[..., None])
        if self.decimated:
            low = glp_low_pass(exact, self.sensor, self.ratio)
        else:
            low = mtf(exact.expand(-1, lms.shape[1], -1, -1), self.sensor, self.ratio)
        factor = self.modulation(exact - guide_path, low - guide_path).to(lms)
        fused = self.modulation.limited((lms - path) * factor + path, ms, guide)
        return unless(flat(smooth), fused, lms)
