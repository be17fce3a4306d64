"""MTF-GLP-CBD: context-based decision with global gains (Alparone et al., IEEE TGRS 45(10), 2007)."""

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import glp_low_pass
from waldbench.imaging.injection import limited, unless
from waldbench.imaging.statistics import inject, slope
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2007,
    paper="Alparone, Wald, Chanussot, Thomas, Gamba, Bruce, IEEE TGRS 45(10):3012-3021",
    doi="10.1109/TGRS.2007.904923",
    faithful="the reference toolbox's GS2_GLP: one gain a band over the whole image, guide not equalised",
    inferred=(
        "a band whose gain is 0, as with a guide whose low-pass is flat, is left as interpolated",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class MTFGLPCBD(Method):
    """Injection by addition whose gains regress every band on the guide's Laplacian low-pass."""

    margin = 17

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        low = glp_low_pass(guide, self.sensor, self.ratio)
        gains = slope(low, lms)
        return unless(gains == 0, limited(inject(lms, gains, guide - low), ms, guide), lms)
